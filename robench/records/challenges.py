"""Better adversarial examples that somebody else found for a record's images."""

from __future__ import annotations

from pathlib import Path

from robench.core.record import Frozen


class Challenge(Frozen):
    """Examples that break images of a record, and whose they are."""

    norm: str
    eps: float
    source: str
    date: str
    """Day it was made, YYYY-MM-DD."""
    broken: tuple[int, ...]
    """Positions among the judged images."""
    examples: str
    """SHA-256 of the examples."""


def read_challenges(folder: Path) -> list[Challenge]:
    """The challenges of a record's folder."""
    del folder
    return []
