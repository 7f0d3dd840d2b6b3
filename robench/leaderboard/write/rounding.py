"""Numbers as data files have them."""

from __future__ import annotations


def rounded(value: float | None, unit: str) -> float | None:
    """A share to five digits, another value to nine, so that rounding twice shows no other number;
    a whole one whole."""
    if value is None or value == int(value):
        return value if value is None else int(value)
    return float(f"{value:.{5 if unit == 'share' else 9}g}")
