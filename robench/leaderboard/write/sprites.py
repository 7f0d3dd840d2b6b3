"""The pictures of a row's examples, as its page draws them: one sprite a row."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from robench.base.errors import UserError, bad_input
from robench.records.preview import PREVIEW

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINES = 3
"""Of a strip in a record's picture: clean images, what an attack made of them, the difference."""
TALLEST = 16_383
"""Pixels that a WebP is high at most."""


def sprite(pictures: Sequence[tuple[bytes, int]]) -> bytes:
    """One lossless picture of records' pictures, PNG, each with the number of strips in it.

    The strips stand one below the other, all equally high, each as two lines: the clean images,
    and what must be added to them, modulo 256, to have the adversarial ones. Half as many bytes
    as these say the same; the third line follows from them in the browser. Raises UserError for a
    picture whose height is not that of its strips.
    """
    from PIL import Image

    strips = [strip for data, count in pictures for strip in _strips(data, count)]
    width, heights = max(one.shape[1] for one in strips), {len(one) for one in strips}
    if len(heights) > 1:
        raise UserError(f"expected strips of one height, got {sorted(heights)} pixels")
    wide = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0))) for one in strips]
    sheet = Image.fromarray(np.concatenate(wide))
    found = io.BytesIO()
    if sheet.height > TALLEST:
        sheet.save(found, format="png", optimize=True)
    else:
        sheet.save(found, format="webp", lossless=True, quality=80, method=0)
    return found.getvalue()


def _strips(data: bytes, count: int) -> Iterator[NDArray[np.uint8]]:
    """The strips of a picture, 8-bit RGBA (height, width, 4)."""
    from PIL import Image

    expected = f"expected a PNG in {PREVIEW}"
    with bad_input(expected), Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
        pixels = np.array(opened.convert("RGBA"))
    height, width, _ = pixels.shape
    if not count or height % (LINES * count):
        raise UserError(
            f"expected {count} strips of {LINES} lines in {PREVIEW}, got {height} pixels"
        )
    for clean, changed, _ in pixels.reshape(count, LINES, -1, width, 4):
        changed[..., :3] -= clean[..., :3]
        yield np.concatenate([clean, changed])
