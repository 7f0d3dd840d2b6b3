"""The records of a study: those that match its variants, all of the same test images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.stats import Paired, paired
from robench.core.outcomes import Score
from robench.core.record import Record
from robench.studies.measures import Measure
from robench.studies.run import Records, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Variant:
    """A row of a study's tables: what its record's configuration must be."""

    label: str
    chosen: Mapping[str, tuple[str, ...]]
    """Choices by kind, each list complete: {"defense": ("none",), ...}."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options by path: {"compressor.ptq.bits": 3}."""

    def matches(self, record: Record) -> bool:
        """Whether a record is one of this variant."""
        named = all(
            tuple(record.config.get(kind, ())) == names for kind, names in self.chosen.items()
        )
        return named and all(
            option(record.config, path) == value for path, value in self.options.items()
        )


def option(config: Any, path: str) -> Any:
    """What a configuration has at a path of names, None where it has nothing."""
    for part in path.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


class Runs:
    """Records by the variants of a study.

    All are of the same test images, so that differences can be paired: the largest subset with
    most variants. Where several records match a variant, the one with most of the `measures`
    counts, of equal ones the one that finished last. `folders` narrows the search, where the caller
    knows which records may match without opening them.
    """

    def __init__(
        self,
        records: Records,
        variants: Sequence[Variant],
        measures: Collection[Measure] = (),
        folders: Iterable[Path] | None = None,
    ) -> None:
        self.records = records
        matching = [
            one
            for run in _possible(records, variants, folders)
            for one in _matches(run, variants, measures, records.keep)
        ]
        chosen = _commonest(matching)
        self.ignored = len({one.run.folder for one in matching}) - len(
            {one.run.folder for one in chosen}
        )
        ordered = sorted(chosen, key=lambda one: (one.covered, one.finished))
        self._runs = {one.variant.label: one.run for one in ordered}

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def get(self, variant: Variant) -> Run | None:
        """The variant's record, if there is one."""
        return self._runs.get(variant.label)

    def score(self, variant: Variant, measure: Measure) -> Score | None:
        """The images of a cell that are right, if the cell was run."""
        run = self.get(variant)
        return measure.score(run) if run else None

    def difference(
        self, first: tuple[Variant, Measure], second: tuple[Variant, Measure]
    ) -> Paired | None:
        """First minus second on the images they share, if both cells were run."""
        cells = [self._right(*cell) for cell in (first, second)]
        if cells[0] is None or cells[1] is None:
            return None
        (numbers, right), (others, also) = cells[0], cells[1]
        _, mine, theirs = np.intersect1d(numbers, others, assume_unique=True, return_indices=True)
        return paired(right[mine], also[theirs]) if len(mine) else None

    def _right(
        self, variant: Variant, measure: Measure
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]] | None:
        """Numbers of a cell's images, and which are right."""
        run, score = self.get(variant), self.score(variant, measure)
        return None if run is None or score is None else (measure.images(run), score.right)


def _possible(
    records: Records, variants: Sequence[Variant], folders: Iterable[Path] | None
) -> list[Run]:
    if folders is not None:
        return records.among(folders)
    return records.possible([variant.chosen for variant in variants])


@dataclass(frozen=True)
class _Match:
    """A record that is one of a variant, and what decides whether it is the one that counts."""

    variant: Variant
    run: Run
    judged: tuple[str, str, int]
    """Its data, test images and seed."""
    images: int
    covered: int
    """How many of the measures it has."""
    finished: float


def _matches(
    run: Run, variants: Iterable[Variant], measures: Collection[Measure], keep: bool
) -> Iterator[_Match]:
    """The variants that a record is one of."""
    record = run.record
    for variant in variants:
        if variant.matches(record):
            yield _Match(
                variant,
                run,
                (record.data.hash, record.data.subset, record.seed),
                record.data.images,
                sum(measure.stands_in(record) for measure in measures),
                record.timings.get("finished", 0.0),
            )
    if not keep:
        run.forget()


def _commonest(matching: Iterable[_Match]) -> list[_Match]:
    groups: dict[tuple[str, str, int], list[_Match]] = {}
    for one in matching:
        groups.setdefault(one.judged, []).append(one)
    if not groups:
        return []
    return max(
        groups.values(),
        key=lambda group: (len({one.variant.label for one in group}), group[0].images),
    )
