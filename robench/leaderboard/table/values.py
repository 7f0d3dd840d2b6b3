"""The columns of the table of all values, which is there to download."""

from __future__ import annotations

from collections.abc import Iterable

from robench.core.record import SYSTEM_KINDS, Record

ABOUT = ("record", "level", "status", "seed", "images", "protocol", *SYSTEM_KINDS)
NUMBERS = ("metric", "value", "low", "high", "n", "unit", "better")


def axis_names(record: Record) -> frozenset[str]:
    """The columns that the axes of a record's values need."""
    taken = {*ABOUT, *NUMBERS}
    names = {name for value in record.values for name in value.axes}
    return frozenset(f"axis_{name}" if name in taken else name for name in names)


def header(axes: Iterable[str]) -> tuple[str, ...]:
    """The columns of every table of values."""
    return (*ABOUT, *NUMBERS, *sorted(axes))
