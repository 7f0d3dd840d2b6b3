"""Whether what a record says follows from its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robench.core.outcomes import Outcomes
from robench.core.record import Record
from robench.records.store import read, read_outcomes


@dataclass(frozen=True)
class Inspected:
    """A record whose files do not contradict each other."""

    record: Record
    outcomes: Outcomes
    unfounded: tuple[str, ...]
    """What of it nothing stored supports."""


def inspect(folder: Path) -> Inspected:
    """Read a record; raises UserError for a contradiction."""
    return Inspected(read(folder), read_outcomes(folder), ())
