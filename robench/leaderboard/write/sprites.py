"""The pictures of a row's examples, as its page draws them: one sprite a row."""

from __future__ import annotations

from collections.abc import Sequence

from robench.base.errors import UserError
from robench.records.preview import sheet, strips


def sprite(pictures: Sequence[tuple[bytes, int]]) -> bytes:
    """One lossless picture of records' pictures, each with the number of strips in it.

    The strips stand one below the other, all equally high, each as two lines: the clean images,
    and what must be added to them, modulo 256, to have the adversarial ones. Half as many bytes
    as these say the same; the third line follows from them in the browser. Raises UserError for a
    picture whose height is not that of its strips.
    """
    made = [strip for data, count in pictures for strip in strips(data, count)]
    if len(heights := {len(one) for one in made}) > 1:
        raise UserError(f"expected strips of one height, got {sorted(heights)} pixels")
    return sheet(made)
