"""Records of one system beside each other: what feeds a row, what disputes it, what is set aside.

Each network has rows of its own, so that no other network moves them. Of one network, a record
that verifies is moved by none that does not; of the others the worse number stands. No clock, no
name of a folder and no order decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from robench.core.outcomes import Outcomes, RowOutcomes, worst_cases
from robench.core.record import Record, Value
from robench.leaderboard.read.challenged import AUDITED, broken_row, challenged, with_worst
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.merge import merged, row_key
from robench.leaderboard.read.threat import ranking_threat
from robench.records.compare import budgets
from robench.records.protocol import NO_ACCESS, protocol, settings
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
class Settled:
    """What a row shows, and of what it is made."""

    claims: tuple[Claim, ...]
    """The records that feed it."""
    record: Record
    """These as one."""
    outcomes: Outcomes
    disputed: bool = False
    """Whether records of one network, or of unknown ones, answer differently."""
    aside: tuple[Aside, ...] = ()

    @property
    def level(self) -> Level:
        """The lowest level of the records that feed it."""
        return min((one.level for one in self.claims), key=LEVELS.index)

    @property
    def weights(self) -> str | None:
        """SHA-256 of its network; None where no record keeps it."""
        return next((one.weights for one in self.claims if one.weights), None)

    @property
    def protocol(self) -> str:
        """Under what its numbers may be ranked."""
        return _protocol(self.record)


def settle(claims: Sequence[Claim], shared: Collection[str] = ()) -> list[Settled]:
    """The rows of a group's records; in any order of these the same.

    `shared` are the protocols in which other systems have rows: a record of such a protocol keeps
    its row there, whatever others add to the network's attacks.
    """
    once = {one.content: one for one in sorted(claims, key=_key)}
    proven = [one for one in once.values() if one.verified]
    others = [one for one in once.values() if not one.verified]
    if not proven:
        return _rows(others, shared)
    networks = _networks(proven)
    kept, aside = [], []
    for claim in others:
        if why := _set_aside(claim, networks):
            aside.append((claim, Aside(claim.id, claim.content, claim.level, why)))
        else:
            kept.append(claim)
    rows = [
        replace(row, aside=tuple(one for claim, one in aside if _of(claim, row.claims)))
        for row in _rows(proven, shared)
    ]
    return [*rows, *(_rows(kept, shared) if kept else [])]


def _set_aside(claim: Claim, networks: Iterable[Sequence[Claim]]) -> str:
    """Why a record feeds no row beside those of its network that verify; nothing where it does."""
    same = [its for its in networks if _of(claim, its)]
    agreed = [one for its in same if not any(_disagree(one, claim) for one in its) for one in its]
    if same and not agreed:
        return "its answers are not those of the record that verifies"
    known = {key for one in agreed for key in _parts(one)}
    return "" if set(_parts(claim)) - known else "it says what the record that verifies says"


def _rows(claims: Sequence[Claim], shared: Collection[str]) -> list[Settled]:
    """Rows of records of equal standing."""
    return [row for its in _networks(claims) for row in _network(its, shared)]


def _networks(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Records of one network each; those of unknown weights may speak of every one."""
    unknown = [one for one in claims if one.weights is None]
    known = _by((one for one in claims if one.weights is not None), lambda one: one.weights)
    return [[*its, *unknown] for its in known] or [unknown]


def _network(claims: Sequence[Claim], shared: Collection[str]) -> Iterator[Settled]:
    """The rows of one network: in protocols that others share, and of all its attacks."""
    whole = _together(claims)
    if any(_disagree(a, b) for a, b in combinations(claims, 2)):
        yield replace(whole, disputed=True)
        return
    own = {_protocol(one.record): one for one in claims}
    for key in sorted(own.keys() & set(shared) - {whole.protocol}):
        yield _within(own[key], claims)
    yield whole


def _within(its: Claim, claims: Sequence[Claim]) -> Settled:
    """The row of a record's own attacks, as low as all records of its network show it."""
    attacks = _attacks(its)
    inside = [one for one in claims if _attacks(one) <= attacks]
    # What rests on its author's word alone moves no other number.
    counted = [one for one in claims if one in inside or one.level != "reported"]
    own, every = _together(inside), _together(counted)
    mine, scored = (
        {(s.norm, s.eps): s for s in worst_cases(one.outcomes, budgets(one.record))}
        for one in (own, every)
    )
    clean = own.outcomes.clean
    rows = [
        broken_row(clean, "other-attacks", mine[key].right & ~scored[key].right, *key)
        for key in mine
        if (mine[key].right & ~scored[key].right).any()
    ]
    if not rows:
        return own
    outcomes = Outcomes((*own.outcomes.rows, *rows))
    return replace(own, record=with_worst(own.record, outcomes), outcomes=outcomes)


def _attacks(claim: Claim) -> set[Hashable]:
    """What makes its protocol."""
    return {row_key(row) for row in claim.record.rows if row.access != NO_ACCESS}


def _protocol(record: Record) -> str:
    known = settings(record.rows, record.config, record.provenance.components)
    return protocol(record.data, record.rows, known)


def _ranks(record: Record) -> float:
    """The worst case that ranks a record."""
    threat = ranking_threat(record)
    if threat is None:
        return 1.0
    return _share(record.find("worst_case_accuracy", norm=threat.norm, eps=threat.eps))


def _share(value: Value | None) -> float:
    return 1.0 if value is None or value.value is None else value.value


def _together(claims: Sequence[Claim]) -> Settled:
    """Their union, which the fullest record names; of equally full ones the lower."""
    ordered = sorted(claims, key=_key)
    fullest = sorted(ordered, key=lambda one: (-len(one.record.rows), _ranks(one.record)))
    return Settled(tuple(ordered), *merged([challenged(one) for one in fullest]))


def _key(claim: Claim) -> tuple[str, str]:
    return claim.id, claim.content


def _by(items: Iterable[T], key: Callable[[T], Hashable]) -> list[list[T]]:
    found: dict[Hashable, list[T]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def _of(claim: Claim, network: Iterable[Claim]) -> bool:
    """Whether a record may speak of a network."""
    return any(_maybe_same(claim, one) for one in network)


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
