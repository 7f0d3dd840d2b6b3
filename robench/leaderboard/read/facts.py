"""What a record says of its network that no other record of that network may contradict."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from robench.base.files import has_file
from robench.base.hashing import canonical
from robench.base.stats import mcnemar
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import Record, Value
from robench.leaderboard.read.merge import row_key
from robench.plugin.components import Model
from robench.plugin.registry import registry
from robench.records.headline import audit_table
from robench.records.protocol import maker
from robench.records.protocols import Protocol
from robench.records.support.values import AUDITED
from robench.records.support.votes import (
    CERTIFICATES,
    CERTIFIED,
    PREDICTED,
    certificate_table,
    certified_at,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
Said = tuple[Hashable, T]
"""Of what it is said, and what."""
CLOSE, TINY = 1e-3, 1e-6
"""By how much numbers that were computed in floats may differ, relatively and at all: machines add
in other orders."""
CHANCE = 0.01
"""A paired test below it tells two records of one network apart, whatever they drew."""
COUNTED = ("bytes", "MAC/img")
"""Units of values that hang on the network alone: on no clock, machine or draw."""
OF_FILE = ("format", "bytes", "runtime", "parent", "black_box", "bits")
"""What a shipped file says of itself, whatever runs it."""
OF_WEIGHTS = "weight_perturbation"
"""The metric that hangs on the weights alone, too, and is computed in floats."""


@dataclass(frozen=True)
class Facts:
    """What one record says."""

    record: Record
    outcomes: Outcomes
    folder: Path
    protocol: Protocol | None

    @cached_property
    def lasting(self) -> list[Said[object]]:
        """What another seed of the attacks changes nothing of: how the network was trained and by
        whom, what is counted in it, what its file says of itself, and verdicts."""
        record, made = self.record, self.record.provenance.components
        found: list[Said[object]] = [
            (_of(value), value.value) for value in record.values if value.unit in COUNTED
        ]
        if record.bits is not None:
            found.append(("bits", record.bits))
        found.append(("status", record.status))
        models = ((name, made.get(f"model.{name}", "")) for name in record.config["model"])
        found += ((("model", name), maker(its)[0]) for name, its in models)
        found += ((("file", name), getattr(record.file, name)) for name in OF_FILE if record.file)
        if _is_trained(record):
            found.append(("training", canonical([record.seed, record.config.get("train")])))
        found += ((("verdict", one.norm, one.eps), one.verdict) for one in record.audit)
        if record.certificates:
            found.append((CERTIFICATES, record.certificates.refuted))
        return found

    @cached_property
    def exact(self) -> list[Said[object]]:
        """What two runs of one seed give alike besides: votes, costs, answers, audited shares."""
        return [
            *self._votes(),
            *self._costs(),
            *((key, _answers(row)) for key, row in self.rows.items()),
            *self._audited(),
        ]

    @cached_property
    def weighed(self) -> list[Said[NDArray[np.float64]]]:
        """What hangs on the weights, in floats."""
        its = (value for value in self.record.values if value.metric == OF_WEIGHTS)
        return [(_of(one), np.array(np.nan if one.value is None else one.value)) for one in its]

    @cached_property
    def nearest(self) -> list[Said[NDArray[np.float64]]]:
        """The distances of nearest errors, which two runs of one seed give alike, too."""
        rows = ((key, row) for key, row in self.rows.items() if row.eps is None and row.norm)
        return [(key, row.distance.astype(float)) for key, row in rows]

    @cached_property
    def rows(self) -> dict[Hashable, RowOutcomes]:
        """Its rows that worked."""
        return {row_key(row): row for row in self.outcomes.rows if row.valid}

    @cached_property
    def audited(self) -> dict[Hashable, tuple[NDArray[np.int64], NDArray[np.bool_]]]:
        """By threat the images of its audit, and which of them held; nothing without a table."""
        if (table := audit_table(self.folder)) is None:
            return {}
        its = ((audit, table["audit"] == at) for at, audit in enumerate(self.record.audit))
        return {(one.norm, one.eps): (table["image"][at], table["held"][at]) for one, at in its}

    @cached_property
    def certified(self) -> dict[Hashable, NDArray[np.bool_]]:
        """By radius and images of which its certificates are right; nothing where it has none."""
        name = f"{CERTIFICATES}.parquet"
        if not self.protocol or not self.protocol.certified or not has_file(self.folder, name):
            return {}
        table = certificate_table(self.folder / name)
        images = table["image"].tobytes()
        radii = self.protocol.certified["radii"]
        return {(radius, images): certified_at(table, radius) for radius in radii}

    def _votes(self) -> Iterator[Said[object]]:
        """What certificates and predictions by vote give."""
        for value in self.record.values:
            if value.metric in (*CERTIFIED, *PREDICTED):
                yield (*_of(value), value.n), value.value

    def _costs(self) -> Iterator[Said[object]]:
        """Gradients and queries of the rows that count them, under the version of their attack,
        whatever the release that brought it."""
        made = self.record.provenance.components
        for row in self.record.rows:
            if row.status == "ok" and None not in (row.gradients, row.queries):
                its = maker(made.get(f"attack.{row.attack}", ""))
                yield (*row_key(row), its), (row.gradients, row.queries)

    def _audited(self) -> Iterator[Said[object]]:
        """Audited accuracies by threat and how it was audited: a longer audit may find more."""
        how = {(one.norm, one.eps): one.level for one in self.record.audit}
        for value in self.record.values:
            norm, eps = value.axes.get("norm"), value.axes.get("eps")
            if value.metric == AUDITED and isinstance(norm, str) and isinstance(eps, float):
                yield (AUDITED, norm, eps, how.get((norm, eps)), value.n), value.value


def disagree(every: Iterable[Facts]) -> bool:
    """Whether records of one network say different things of it; times are no answers."""
    exact: dict[Hashable, object] = {}
    near: dict[Hashable, NDArray[np.float64]] = {}
    audited: dict[Hashable, tuple[NDArray[np.int64], NDArray[np.bool_]]] = {}
    return any(
        any(exact.setdefault(key, its) != its for key, its in (*one.lasting, *one.exact))
        or any(
            not _close(near.setdefault(key, its), its) for key, its in (*one.weighed, *one.nearest)
        )
        or any(_held_apart(audited.setdefault(key, its), its) for key, its in one.audited.items())
        for one in every
    )


def differ_surely(first: Facts, second: Facts) -> bool:
    """Whether two records of one network that were asked otherwise differ by more than another draw
    of the attacks would."""
    lasting, weighed = dict(first.lasting), dict(first.weighed)
    return (
        any(lasting.get(key, its) != its for key, its in second.lasting)
        or any(not _close(weighed.get(key, its), its) for key, its in second.weighed)
        or any(_surely(a.right, b.right) for a, b in _shared(first.rows, second.rows))
        or any(_held_apart(a, b) for a, b in _shared(first.audited, second.audited))
        or any(_surely(a, b) for a, b in _shared(first.certified, second.certified))
    )


def _held_apart(
    first: tuple[NDArray[np.int64], NDArray[np.bool_]],
    second: tuple[NDArray[np.int64], NDArray[np.bool_]],
) -> bool:
    """Whether one of two audits leaves surely more of the images that both looked at: no length
    of an audit explains that to who has not verified it."""
    _, mine, yours = np.intersect1d(first[0], second[0], return_indices=True)
    return _surely(first[1][mine], second[1][yours])


def _shared(first: dict[Hashable, T], second: dict[Hashable, T]) -> Iterator[tuple[T, T]]:
    for key in first.keys() & second.keys():
        yield first[key], second[key]


def _surely(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    return mcnemar(int((first & ~second).sum()), int((second & ~first).sum())) < CHANCE


def _close(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    return first.shape == second.shape and np.allclose(first, second, CLOSE, TINY, True)


def _answers(row: RowOutcomes) -> tuple[bytes, ...]:
    """To which images it answered what, and what they are."""
    columns = row.image, row.label, row.prediction, row.clean_prediction
    return tuple(one.tobytes() for one in columns)


def _of(value: Value) -> tuple[Hashable, ...]:
    return value.metric, *sorted(value.axes.items())


def _is_trained(record: Record) -> bool:
    """Whether robench trains such a network, so that its weights hang on the seed and training."""
    known, made = registry().choices["model"], record.provenance.components
    models = record.config["model"]
    return record.file is None and all(
        name in known
        and maker(made.get(f"model.{name}", ""))[0] == known[name].distribution
        and issubclass(its := known[name].cls, Model)
        and not its.pretrained
        for name in models
    )
