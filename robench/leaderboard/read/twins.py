"""Records of one system beside each other: what feeds a row, what disputes it, what is set aside.

A record that verifies is moved by none that does not. Of the others the worse number stands: no
clock, no name of a folder and no order decides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import Record, Value
from robench.leaderboard.read.challenged import AUDITED, challenged
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.merge import merged, row_key, worse_audits, worse_values
from robench.leaderboard.read.threat import ranking_threat
from robench.records.protocol import protocol, settings
from robench.records.trust import LEVELS, Level

T = TypeVar("T")
DISTANCE = 1e-4
"""By how much the distances of two equal searches may differ."""


@dataclass(frozen=True)
class Aside:
    """A record that does not feed the row of its system, and why."""

    id: str
    content: str
    level: Level
    reason: str


@dataclass(frozen=True)
class Version:
    """Records of one network, as one."""

    claims: tuple[Claim, ...]
    record: Record
    outcomes: Outcomes

    @property
    def protocol(self) -> str:
        """Under what its numbers may be ranked."""
        known = settings(self.record.rows, self.record.config, self.record.provenance.components)
        return protocol(self.record.data, self.record.rows, known)


@dataclass(frozen=True)
class Settled:
    """What a row shows, and of what it is made."""

    versions: tuple[Version, ...]
    """Replicates: networks that were trained apart; its numbers are the worst of them."""
    disputed: bool
    """Whether records of one network, or of unknown ones, answer differently."""
    uncounted: tuple[Version, ...] = ()
    """Replicates that do not verify, of a row that does."""
    aside: tuple[Aside, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The records that feed it."""
        every = sorted({id(one): one for v in self.versions for one in v.claims}.values(), key=_key)
        return tuple(every)

    @property
    def level(self) -> Level:
        """The lowest level of the records that feed it."""
        return min((one.level for one in self.claims), key=LEVELS.index)


def settle(claims: Sequence[Claim]) -> list[Settled]:
    """The rows of a group's records; in any order of these the same."""
    once = {one.content: one for one in sorted(claims, key=_key)}
    proven = [one for one in once.values() if one.verified]
    others = [one for one in once.values() if not one.verified]
    if not proven:
        return _rows(others)
    first, *more = _rows(proven)
    kept, uncounted, aside = [], [], []
    for claim in others:
        match _beside(claim, [first, *more]):
            case "row":
                kept.append(claim)
            case "replicate":
                uncounted.append(_version([claim]))
            case reason:
                aside.append(Aside(claim.id, claim.content, claim.level, reason))
    mended = Settled(first.versions, first.disputed, tuple(uncounted), tuple(aside))
    return [mended, *more, *(_rows(kept) if kept else [])]


def _beside(claim: Claim, rows: Sequence[Settled]) -> str:
    """What becomes of a record beside those of its system that verify.

    A row of its own, an uncounted replicate of theirs, or why it is set aside.
    """
    proven = [one for row in rows for one in row.claims]
    same = [one for one in proven if _maybe_same(one, claim)]
    if any(_disagree(one, claim) for one in same):
        return "its answers are not those of the record that verifies"
    known = {key for one in proven for key in _parts(one)}
    if set(_parts(claim)) - known:
        return "row"
    return "it says what the record that verifies says" if same else "replicate"


def _rows(claims: Sequence[Claim]) -> list[Settled]:
    """Rows of records of equal standing."""
    pairs = combinations(claims, 2)
    if any(_maybe_same(a, b) and _disagree(a, b) for a, b in pairs):
        return [Settled((_version(claims),), disputed=True)]
    unknown = [one for one in claims if one.weights is None]
    networks = _by((one for one in claims if one.weights is not None), lambda one: one.weights)
    versions = [_version([*its, *unknown]) for its in networks] or [_version(unknown)]
    return [Settled(tuple(same), False) for same in _by(versions, lambda one: one.protocol)]


def lowest(settled: Settled) -> tuple[Record, Outcomes]:
    """The record of a row: of its replicates the lowest, with the worst of every number."""
    first, *more = sorted(settled.versions, key=_number)
    if not more:
        return first.record, first.outcomes
    records = [first.record, *(one.record for one in more)]
    update = {"values": tuple(worse_values(records)), "audit": tuple(worse_audits(records))}
    return first.record.model_copy(update=update), first.outcomes


def _number(version: Version) -> tuple[float, float, str]:
    """What orders replicates: the worst case that ranks them, then the clean accuracy."""
    clean = version.record.find("clean_accuracy")
    return _ranks(version.record), _share(clean), version.claims[0].content


def _ranks(record: Record) -> float:
    """The worst case that ranks a record."""
    threat = ranking_threat(record)
    if threat is None:
        return 1.0
    return _share(record.find("worst_case_accuracy", norm=threat.norm, eps=threat.eps))


def _share(value: Value | None) -> float:
    return 1.0 if value is None or value.value is None else value.value


def _version(claims: Sequence[Claim]) -> Version:
    """Their union, which the fullest record names; of equally full ones the lower."""
    ordered = sorted(claims, key=_key)
    fullest = sorted(ordered, key=lambda one: (-len(one.record.rows), _ranks(one.record)))
    return Version(tuple(ordered), *merged([challenged(one) for one in fullest]))


def _key(claim: Claim) -> tuple[str, str]:
    return claim.id, claim.content


def _by(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    found: dict[Hashable, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def _maybe_same(first: Claim, second: Claim) -> bool:
    """Whether two records may speak of the same weights."""
    known = {first.weights, second.weights} - {None}
    return len(known) < 2


def _disagree(first: Claim, second: Claim) -> bool:
    """Whether two records answer differently where both answer; times are no answers."""
    mine, yours = ({row_key(row): row for row in one.outcomes.rows} for one in (first, second))
    if any(_differ(mine[key], yours[key]) for key in mine.keys() & yours.keys()):
        return True
    audits, theirs = _audited(first), _audited(second)
    return any(audits[key] != theirs[key] for key in audits.keys() & theirs.keys())


def _differ(first: RowOutcomes, second: RowOutcomes) -> bool:
    if not (first.valid and second.valid):
        return False
    same = np.array_equal(first.prediction, second.prediction) and np.array_equal(
        first.clean_prediction, second.clean_prediction
    )
    if first.eps is not None or not first.norm:
        return not same
    return not same or not np.allclose(first.distance, second.distance, DISTANCE, DISTANCE, True)


def _audited(claim: Claim) -> dict[Hashable, float | None]:
    """Audited accuracies by threat and how it was audited: a longer audit may find more."""
    how = {(one.norm, one.eps): one.level for one in claim.record.audit}
    found: dict[Hashable, float | None] = {}
    for value in claim.record.values:
        norm, eps = value.axes.get("norm"), value.axes.get("eps")
        if value.metric == AUDITED and isinstance(norm, str) and isinstance(eps, float):
            found[norm, eps, how.get((norm, eps)), value.n] = value.value
    return found


def _parts(claim: Claim) -> list[Hashable]:
    """What a record speaks of: its rows, and its values but the worst cases that follow."""
    values = [
        (value.metric, *sorted(value.axes.items()))
        for value in claim.record.values
        if value.metric != "worst_case_accuracy"
    ]
    return [*values, *(row_key(row) for row in claim.record.rows)]
