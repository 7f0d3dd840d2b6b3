"""A reproduction of a paper: what it compares, claims and leaves open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from robench.studies.claims import Claim
from robench.studies.runs import Column, PaperCell, Runs, System


@dataclass(frozen=True)
class Study:
    """One reproduction: its tables, claims and free settings."""

    name: str
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
    overrides: str = ""
    """What `robench run` makes the records of; none given: the preset of the study's name."""

    @property
    def command(self) -> str:
        """What makes the study's records."""
        return f"robench run {self.overrides or f'experiment={self.name}'}"

    @property
    def columns(self) -> set[Column]:
        """The columns of all tables."""
        return {column for columns in self.tables.values() for column in columns}
