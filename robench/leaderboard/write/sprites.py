"""The pictures of a row's examples, as its page draws them: one sprite a row."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from robench.base.errors import UserError, bad_input
from robench.records.preview import PREVIEW

if TYPE_CHECKING:
    from PIL.Image import Image

LINES = 3
"""Of a strip in a record's picture: clean images, what an attack made of them, the difference."""
KEPT = 2
"""The last of them is computed in the browser, from the others."""
TALLEST = 16_383
"""Pixels that a WebP is high at most."""


def sprite(pictures: Sequence[tuple[bytes, int]]) -> bytes:
    """One lossless picture of records' pictures, PNG, each with the number of strips in it.

    The strips stand one below the other, all equally high, each as its clean and its adversarial
    line. Raises UserError for a picture whose height is not that of its strips.
    """
    from PIL.Image import new

    strips = [strip for data, count in pictures for strip in _strips(data, count)]
    width, heights = max(one.width for one in strips), {one.height for one in strips}
    if len(heights) > 1:
        raise UserError(f"expected strips of one height, got {sorted(heights)} pixels")
    height = heights.pop()
    sheet = new("RGBA", (width, height * len(strips)))
    for place, one in enumerate(strips):
        sheet.paste(one, (0, height * place))
    found = io.BytesIO()
    if sheet.height > TALLEST:
        sheet.save(found, format="png", optimize=True)
    else:
        sheet.save(found, format="webp", lossless=True, quality=80, method=4)
    return found.getvalue()


def _strips(data: bytes, count: int) -> Iterator[Image]:
    """The strips of a picture, without the difference."""
    from PIL.Image import open as open_image

    expected = f"expected a PNG in {PREVIEW}"
    with bad_input(expected), open_image(io.BytesIO(data), formats=["PNG"]) as opened:
        picture = opened.convert("RGBA")
    if not count or picture.height % (LINES * count):
        raise UserError(
            f"expected {count} strips of {LINES} lines in {PREVIEW}, got {picture.height} pixels"
        )
    line = picture.height // (LINES * count)
    for place in range(count):
        top = LINES * line * place
        yield picture.crop((0, top, picture.width, top + KEPT * line))
