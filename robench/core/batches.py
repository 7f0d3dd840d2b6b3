"""How many images are floats, or go through a network, at once: the one place where memory is set.

Batches are small enough for 224x224 pixels; of CIFAR's images they are what components ask for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

ASKED = 2**22
"""Floats of the images that a network meets at once, or two of which are compared: 27 images of
3x224x224."""
SEARCHED = 2**23
"""Floats of the images that a search works on at once, of which it holds some ten copies."""
HELD = 2**25
"""Floats of the images that a deployed model is asked about in one call, or an audit tries."""
SAVED = 2**28
"""Floats that a network keeps for its backward pass, at once."""
SMALL = 2**14
"""Floats of an image up to which nothing is measured: a search asks about its whole batch."""


def at_once(shape: Sequence[int], floats: int, most: int | None = None) -> int:
    """How many images of a shape (C, H, W) come to at most so many floats; 1 at least."""
    fits = max(floats // max(math.prod(shape), 1), 1)
    return fits if most is None else min(fits, most)


def parts(
    count: int, shape: Sequence[int], floats: int, most: int | None = None
) -> Iterator[slice]:
    """Slices of 0..count, each of as many images as `at_once` says, in order."""
    step = at_once(shape, floats, most)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
