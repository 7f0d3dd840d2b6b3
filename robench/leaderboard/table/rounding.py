"""Numbers as data files have them."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(2**16)
def rounded(value: float | None, unit: str) -> float | None:
    """A share to five digits, another value to twelve, a whole one whole; what is shown of it, by
    `number`, stays the same.

    Most numbers of a record stand in its row and in its document, and shares in many records.
    """
    if value is None or value == int(value):
        return value if value is None else int(value)
    if unit == "share":
        few = float(f"{value:.5g}")
        # Halfway between two shown numbers it could show the other one.
        if abs(few * 1000 % 1 - 0.5) > 1e-6:
            return few
    return float(f"{value:.12g}")
