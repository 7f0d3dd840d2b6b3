"""What a study compares: systems, columns and the paper's cells, matched with records."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.stats import Paired, paired
from robench.core.outcomes import Outcomes, Score, clean_score, scores
from robench.records.compare import budgets
from robench.records.store import folders, read, read_outcomes, read_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.record import Record


@dataclass(frozen=True)
class System:
    """A row of a paper's table: what its record's configuration must be."""

    label: str
    chosen: Mapping[str, tuple[str, ...]]
    """Choices by kind, each list complete: {"defense": ("none",), ...}."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options by path: {"compressor.ptq.bits": 3}."""

    def matches(self, record: Record) -> bool:
        """Whether a record is one of this system."""
        named = all(
            tuple(record.config.get(kind, ())) == names for kind, names in self.chosen.items()
        )
        return named and all(
            _option(record.config, path) == value for path, value in self.options.items()
        )


def _option(config: Any, path: str) -> Any:
    for part in path.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


@dataclass(frozen=True)
class Column:
    """A column of a paper's table: clean accuracy, or that under an attack.

    `attacked_accuracy` counts every attacked image by its attacked label alone, as the papers do.
    """

    label: str
    attack: str = ""
    """Empty: clean."""
    access: str = "white_box"
    eps: float | None = None
    """A minimum-norm attack's budget in [0,1] pixels; None for attacks of one eps."""

    def stands_in(self, record: Record) -> bool:
        """Whether a record has the column's row, at whatever eps."""
        rows = {(row.attack, row.access) for row in record.rows}
        return not self.attack or (self.attack, self.access) in rows

    def score(self, run: Run) -> Score | None:
        """The images that are right in a run; None when it has no such row."""
        if not self.attack:
            return clean_score(run.outcomes)
        found = [s for s in run.scores if (s.attack, s.access) == (self.attack, self.access)]
        if self.eps is not None:
            found = [s for s in found if s.eps is not None and math.isclose(s.eps, self.eps)]
        return found[0] if found else None

    def images(self, run: Run) -> NDArray[np.int64]:
        """The numbers of the images that `score` is about, in its order."""
        return run.outcomes.clean.image.astype(np.int64)


@dataclass(frozen=True)
class PaperCell:
    """One number of a paper, a share in [0,1], and where it stands."""

    table: str
    system: System
    column: Column
    value: float


@dataclass(frozen=True)
class Run:
    """A record with its outcomes, read when first asked for."""

    folder: Path
    record: Record

    @cached_property
    def outcomes(self) -> Outcomes:
        """The outcomes table."""
        return read_outcomes(self.folder)

    def table(self, name: str) -> Any:
        """A table that a metric added, or None."""
        return read_table(self.folder, name)

    @cached_property
    def scores(self) -> list[Score]:
        """Accuracy under every row, each attacked image counted by its attacked label."""
        return list(scores(self.outcomes, budgets(self.record), when_clean_right=False))


class Runs:
    """The records of a folder, or given ones, by the systems of a study.

    All are of the same test images, so that differences can be paired: the largest subset with
    most systems. Where several records match a system, the one with most of the `columns` counts,
    of equal ones the one that finished last.
    """

    def __init__(
        self,
        root: Path | Sequence[Path],
        systems: Sequence[System],
        columns: Collection[Column] = (),
    ) -> None:
        found = folders(root) if isinstance(root, Path) else root
        matching = [
            (system, run)
            for run in (Run(folder, read(folder)) for folder in found)
            for system in systems
            if system.matches(run.record)
        ]
        chosen = _commonest(matching)
        self.ignored = len({run.folder for _, run in matching}) - len(
            {run.folder for _, run in chosen}
        )

        def rank(pair: tuple[System, Run]) -> tuple[int, float]:
            record = pair[1].record
            covered = sum(column.stands_in(record) for column in columns)
            return covered, record.timings["finished"]

        self._runs = {system.label: run for system, run in sorted(chosen, key=rank)}

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def get(self, system: System) -> Run | None:
        """The system's record, if there is one."""
        return self._runs.get(system.label)

    def score(self, system: System, column: Column) -> Score | None:
        """The images of a cell that are right, if the cell was run."""
        run = self.get(system)
        return column.score(run) if run else None

    def difference(
        self, first: tuple[System, Column], second: tuple[System, Column]
    ) -> Paired | None:
        """First minus second on the images they share, if both cells were run."""
        cells = [self._right(*cell) for cell in (first, second)]
        if cells[0] is None or cells[1] is None:
            return None
        (numbers, right), (others, also) = cells[0], cells[1]
        _, mine, theirs = np.intersect1d(numbers, others, assume_unique=True, return_indices=True)
        return paired(right[mine], also[theirs]) if len(mine) else None

    def _right(
        self, system: System, column: Column
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
        """Numbers of a cell's images, and which are right."""
        run, score = self.get(system), self.score(system, column)
        return None if run is None or score is None else (column.images(run), score.right)


def _commonest(matching: list[tuple[System, Run]]) -> list[tuple[System, Run]]:
    def protocol(run: Run) -> tuple[str, str, int]:
        return run.record.data.hash, run.record.data.subset, run.record.seed

    groups: dict[tuple[str, str, int], list[tuple[System, Run]]] = {}
    for system, run in matching:
        groups.setdefault(protocol(run), []).append((system, run))
    if not groups:
        return []
    return max(
        groups.values(),
        key=lambda group: (len({s.label for s, _ in group}), group[0][1].record.data.images),
    )
