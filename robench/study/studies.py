"""The studies that `robench study` knows, by the name of their preset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from robench.errors import ConfigError
from robench.study.cells import Column, PaperCell, Runs, System
from robench.study.claims import Claim


@dataclass(frozen=True)
class Study:
    """One reproduction: its tables, claims and free settings."""

    name: str
    """Also its preset's: `robench run experiment=NAME`."""
    title: str
    source: str
    systems: Sequence[System]
    tables: Mapping[str, Sequence[Column]]
    """Columns of each table; every table has all systems."""
    cells: Sequence[PaperCell]
    claims: Sequence[Claim]
    settings: Mapping[str, str]
    """What the paper leaves open, and our value."""
    extra: Sequence[Callable[[Runs], str]] = field(default_factory=tuple)
    """Further sections of the report, each Markdown."""

    @property
    def columns(self) -> set[Column]:
        """The columns of all tables."""
        return {column for columns in self.tables.values() for column in columns}


def find(name: str) -> Study:
    """A study by name; raises ConfigError with the known ones."""
    from robench.study.song2021 import STUDIES

    if name not in STUDIES:
        raise ConfigError(f"expected a study among {', '.join(STUDIES)}, got {name!r}")
    return STUDIES[name]
