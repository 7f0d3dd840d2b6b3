"""The pictures of a row's examples, as its page draws them: one sprite a row."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.merge import row_key
from robench.leaderboard.table.row import Strip, strips
from robench.records import preview

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 2**22
"""Of a row's sprite: the browser draws it whole."""


def drawn(claims: Iterable[Claim]) -> tuple[list[Strip], bytes | None]:
    """The strips of records' pictures, and one lossless picture of them; none without a picture.

    The strips stand one below the other, all as high as the first, each as two lines: the clean
    images, and what must be added to them, modulo 256, to have the adversarial ones. Half as many
    bytes as these say the same; the third line follows from them in the browser. A strip of another
    height, what two records draw differently, and what would be too much are left out.
    """
    found: dict[Hashable, tuple[Strip, NDArray[np.uint8]]] = {}
    doubtful, room, height = set[Hashable](), MAX_PIXELS, 0
    for claim in claims:
        for key, strip, pixels in _strips(claim):
            height = height or len(pixels)
            size = pixels.shape[0] * pixels.shape[1]
            if key in found and not np.array_equal(found[key][1], pixels):
                doubtful.add(key)
            elif key not in found and len(pixels) == height and size <= room:
                found[key] = strip, pixels
                room -= size
    found = {key: its for key, its in found.items() if key not in doubtful}
    if not found:
        return [], None
    return [strip for strip, _ in found.values()], preview.sheet([one for _, one in found.values()])


def _strips(claim: Claim) -> Iterator[tuple[Hashable, Strip, NDArray[np.uint8]]]:
    """What each strip of a record's picture shows, in words and pixels."""
    if data := preview.picture(claim.folder):
        rows = claim.outcomes.attacked
        keys, pixels = map(row_key, rows), preview.strips(data, len(rows))
        yield from zip(keys, strips(claim.outcomes), pixels, strict=True)
