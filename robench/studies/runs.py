"""The records of a study: those that match its variants, all of the same test images."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.stats import Paired, paired
from robench.core.outcomes import Score
from robench.core.record import Record
from robench.plugin.registry import registry
from robench.records.protocol import maker
from robench.records.trust import LEVELS, Level
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
        """Whether a record is one of this variant; by a name alone it is none."""
        named = all(
            tuple(record.config.get(kind, ())) == names for kind, names in self.chosen.items()
        )
        alike = all(option(record.config, path) == value for path, value in self.options.items())
        return named and alike and _of_known_makers(record)


def option(config: Any, path: str) -> Any:
    """What a configuration has at a path of names, None where it has nothing."""
    for part in path.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def _of_known_makers(record: Record) -> bool:
    """Whether its components that are installed here, too, are of the same distributions."""
    known = registry().choices
    for name, made in record.provenance.components.items():
        kind, _, choice = name.partition(".")
        mine = known.get(kind, {}).get(choice)
        if mine and maker(made)[0] != mine.distribution:
            return False
    return True


@dataclass(frozen=True)
class Standing:
    """What a page knows of a record that others sent, by the row that it feeds."""

    level: Level
    disputed: bool
    score: float
    """The share that the row is ordered by."""
    content: str
    """SHA-256 of the record's files."""


Cell = tuple[Score, "NDArray[np.int64]"]
"""Which images of a cell are right, and their numbers."""


class Runs:
    """Records by the variants of a study.

    All are of the same test images and seed, so that differences can be paired: those with most
    variants, of equal ones with most images. Where several records match a variant, the one with
    most of the `measures` counts, of equal ones the one that finished last. `folders` narrows the
    search, where the caller knows which records may match without opening them.

    Records of others say themselves when they finished, so that with their `standing`, by folder,
    no clock decides. The images are those with most verified variants, then with most. Of a
    variant's records the one of the highest level counts, then one that is not disputed, then that
    with most of the measures, then that of the worse row, or of one row the worse. One that is only
    reported never counts.
    """

    def __init__(
        self,
        records: Records,
        variants: Sequence[Variant],
        measures: Collection[Measure] = (),
        folders: Iterable[Path] | None = None,
        standing: Mapping[Path, Standing] | None = None,
    ) -> None:
        self.records = records
        self.standing = standing or {}
        self._cells: dict[tuple[str, Measure], Cell | None] = {}
        matching = [
            one
            for run in _possible(records, variants, folders)
            for one in _matches(run, variants, measures, self.standing, records.keep)
        ]
        proven = [one for one in matching if one.level != "reported"]
        of: dict[str, list[_Match]] = {}
        for one in _commonest(proven):
            of.setdefault(one.variant.label, []).append(one)
        counting = {label: _counting(its, measures) for label, its in of.items()}
        self._runs = {label: one.run for label, one in counting.items()}
        self._rivals = {label: list(_rivals(one, of[label])) for label, one in counting.items()}
        used = {run.folder for run in self._runs.values()}
        self.ignored = len({one.run.folder for one in proven} - used)
        """How many records match and do not count, beside those that do."""
        self.unproven = len({one.run.folder for one in matching if one.level == "reported"})
        """How many match and are only reported."""

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs.values())

    def get(self, variant: Variant) -> Run | None:
        """The variant's record, if there is one."""
        return self._runs.get(variant.label)

    def rivals(self, variant: Variant) -> list[Path]:
        """The folders of the other records of a variant that prove as much as the one that counts;
        none where nobody asked what they prove."""
        return self._rivals.get(variant.label, [])

    def instead(self, variant: Variant, run: Run, cells: Mapping[Measure, Cell]) -> Runs:
        """These, but for one variant's record and some of its cells."""
        other = copy(self)
        other._runs = {**self._runs, variant.label: run}
        own = {(variant.label, measure): cell for measure, cell in cells.items()}
        other._cells = {**self._cells, **own}
        return other

    def score(self, variant: Variant, measure: Measure) -> Score | None:
        """The images of a cell that are right, if the cell was run."""
        cell = self._cell(variant, measure)
        return cell[0] if cell else None

    def difference(
        self, first: tuple[Variant, Measure], second: tuple[Variant, Measure]
    ) -> Paired | None:
        """First minus second on the images they share, if both cells were run."""
        mine, theirs = self._cell(*first), self._cell(*second)
        return difference(mine, theirs) if mine and theirs else None

    def asked(self, variant: Variant) -> list[Measure]:
        """The measures of a variant that were asked for."""
        return [measure for label, measure in self._cells if label == variant.label]

    def _cell(self, variant: Variant, measure: Measure) -> Cell | None:
        key = variant.label, measure
        if key not in self._cells:
            run = self.get(variant)
            self._cells[key] = cell_of(run, measure) if run else None
        return self._cells[key]


def cell_of(run: Run, measure: Measure) -> Cell | None:
    """A record's cell, if it was run."""
    score = measure.score(run)
    return (score, measure.images(run)) if score else None


def difference(first: Cell, second: Cell) -> Paired | None:
    """First minus second on the images they share, if there are any."""
    (mine, numbers), (theirs, others) = first, second
    _, at, there = np.intersect1d(numbers, others, assume_unique=True, return_indices=True)
    return paired(mine.right[at], theirs.right[there]) if len(at) else None


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
    standing: Standing | None

    @property
    def level(self) -> Level | None:
        """What it proves; None where nobody asked."""
        return self.standing.level if self.standing else None


def _counting(same: Sequence[_Match], measures: Collection[Measure]) -> _Match:
    """Of the records of a variant the one that counts."""
    first = max(map(_place, same))
    *others, last = [one for one in same if _place(one) == first]
    if not others or last.standing is None:
        return last
    return min([*others, last], key=lambda one: (_mean(one.run.folder, measures), _content(one)))


def _rivals(counting: _Match, same: Iterable[_Match]) -> Iterator[Path]:
    for one in same:
        if one.standing and one is not counting and one.level == counting.level:
            yield one.run.folder


def _place(one: _Match) -> tuple[float, ...]:
    """Orders the records of a variant from the one that counts least."""
    its = one.standing
    if its is None:
        return one.covered, one.finished
    return LEVELS.index(its.level), not its.disputed, one.covered, -its.score


def _mean(folder: Path, measures: Iterable[Measure]) -> float:
    """The mean of a record's cells; its tables are not kept."""
    run = Run(folder)
    found = [score.value for measure in measures if (score := measure.score(run))]
    return math.fsum(found) / len(found) if found else 1.0


def _content(one: _Match) -> str:
    return one.standing.content if one.standing else ""


def _matches(
    run: Run,
    variants: Iterable[Variant],
    measures: Collection[Measure],
    standing: Mapping[Path, Standing],
    keep: bool,
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
                standing.get(run.folder),
            )
    if not keep:
        run.forget()


def _commonest(matching: Iterable[_Match]) -> list[_Match]:
    groups: dict[tuple[str, str, int], list[_Match]] = {}
    for one in matching:
        groups.setdefault(one.judged, []).append(one)
    if not groups:
        return []
    return groups[min(groups, key=lambda judged: (*_fewer(groups[judged]), judged))]


def _fewer(group: Sequence[_Match]) -> tuple[int, int, int]:
    """Orders groups: most verified variants first, then most variants, then most images."""
    verified = {one.variant.label for one in group if one.level == "verified"}
    return -len(verified), -len({one.variant.label for one in group}), -group[0].images
