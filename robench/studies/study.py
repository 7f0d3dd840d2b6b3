"""A reproduction of a paper: what it compares, claims and leaves open."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from robench.core.outcomes import Score
from robench.studies.claims import Claim
from robench.studies.measures import Measure
from robench.studies.runs import Runs, Variant


@dataclass(frozen=True)
class PaperCell:
    """One number of a paper, a share in [0,1], and where it stands."""

    table: str
    variant: Variant
    measure: Measure
    value: float


def read_cells(package: str, name: str) -> list[dict[str, str]]:
    """The rows of the CSV file `name` in a package's folder, by column name."""
    text = (files(package) / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@dataclass(frozen=True)
class StudyCell:
    """One cell of a study's table: ours beside the paper's; None where there is none."""

    ours: Score | None
    paper: float | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, a share."""
        if self.ours is None or self.paper is None:
            return None
        return self.ours.value - self.paper


@dataclass(frozen=True)
class Study:
    """One reproduction: its tables, claims and free settings."""

    name: str
    title: str
    source: str
    variants: Sequence[Variant]
    tables: Mapping[str, Sequence[Measure]]
    """The columns of each table; every table has all variants."""
    cells: Sequence[PaperCell]
    claims: Sequence[Claim]
    settings: Mapping[str, str]
    """What the paper leaves open, and our value."""
    sections: Sequence[Callable[[Runs], str]] = field(default_factory=tuple)
    """Further sections of the report, each Markdown; an empty one is left out."""
    overrides: str = ""
    """What `robench run` makes the records of; none given: the preset of the study's name."""
    reasons: Traversable | None = None
    """A folder whose NAME.yaml says why claims end as they do (see `robench.studies.reasons`).

    It may be missing, where the plugin is installed without the records that the reasons cite.
    """

    @property
    def has_reasons(self) -> bool:
        """Whether its reasons are here, or it has none."""
        return self.reasons is None or self.reasons.is_dir()

    def beside(self, records: Path) -> Study:
        """The study with the reasons that lie beside these records, where its own are not here."""
        reasons = records.resolve().parent / "studies" / "reasons"
        return self if self.has_reasons or not reasons.is_dir() else replace(self, reasons=reasons)

    @property
    def command(self) -> str:
        """What makes the study's records."""
        return f"robench run {self.overrides or f'experiment={self.name}'}"

    @property
    def measures(self) -> set[Measure]:
        """The measures of all tables."""
        return {measure for measures in self.tables.values() for measure in measures}

    def rows(self, table: str, runs: Runs) -> Iterator[tuple[Variant, list[StudyCell]]]:
        """A table's rows, each with a cell for each of its measures."""
        paper = {(cell.variant.label, cell.measure): cell.value for cell in self.cells}
        for variant in self.variants:
            yield (
                variant,
                [
                    StudyCell(runs.score(variant, measure), paper.get((variant.label, measure)))
                    for measure in self.tables[table]
                ],
            )
