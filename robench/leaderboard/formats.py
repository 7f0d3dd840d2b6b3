"""Numbers as the page writes them; `assets/format.js` writes the same."""

from __future__ import annotations

SCALE = {"share": 100.0, "bytes": 1 / 1000, "s": 1000.0}
"""What a value is multiplied with: percent, kB, ms."""


def number(value: float | None, unit: str) -> str:
    """A value in the unit that its column's heading names; a dash where there is none."""
    if value is None:
        return "–"
    scaled = value * SCALE.get(unit, 1.0)
    if unit == "share":
        return f"{scaled:.1f}"
    return short(scaled)


def short(value: float) -> str:
    """At most four significant digits, thousands set apart."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.2e}"
    return f"{value:.4g}"


def interval(low: float | None, high: float | None, unit: str) -> str:
    """`low–high`, or nothing where there is no interval."""
    if low is None or high is None:
        return ""
    return f"{number(low, unit)}–{number(high, unit)}"
