"""Records of one system beside each other: what feeds a row, what disputes it, what is set aside.

Each network has rows of its own, so that no other network moves them. Of one network, a record
that verifies is moved by none that does not; of the others the worse number stands. Under a
protocol a network has one row, whatever seeds and training its records name; where these differ by
more than chance the row is disputed. A record that does not follow from what it stored moves none
that does. No clock, no name of a folder and no order decides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from robench.base.files import has_file
from robench.base.stats import mcnemar
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import Record
from robench.leaderboard.read.challenged import AUDITED, WORST, challenged
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.merge import SEVERITY, merged, network, row_key
from robench.records.protocols import Protocol
from robench.records.support.votes import (
    CERTIFICATES,
    CERTIFIED,
    PREDICTED,
    certificate_table,
    certified_at,
)
from robench.records.trust import LEVELS, Level

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
DISTANCE = 1e-4
"""By how much the distances of two equal searches may differ."""
CHANCE = 0.01
"""A paired test below it tells two records of one network apart, whatever they drew."""
AT_REST = ("bytes", "MAC/img")
"""Units of values that hang on the network alone: on no clock, machine or draw."""


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
    def protocol(self) -> Protocol | None:
        """The named protocol of its records; None of open runs."""
        return self.claims[0].protocol


def settle(claims: Sequence[Claim]) -> list[Settled]:
    """The rows of a group's records, all under one protocol or none; in any order the same."""
    once = {one.content: one for one in sorted(claims, key=_key)}
    every, repeated = _split(once.values(), lambda one: _repeats(one, once.values()))
    proven = [one for one in every if one.verified]
    others = [one for one in every if not one.verified]
    if not proven:
        return _named(_rows(others), repeated)
    networks = _networks(proven)
    kept, aside = _split(others, lambda one: _set_aside(one, networks))
    rows = _named(_rows(proven), [*repeated, *aside])
    return [*rows, *(_named(_rows(kept), repeated) if kept else [])]


def _split(
    claims: Iterable[Claim], why: Callable[[Claim], str]
) -> tuple[list[Claim], list[tuple[Claim, Aside]]]:
    """The records that nothing sets aside, and the others with why."""
    kept, aside = [], []
    for claim in claims:
        if reason := why(claim):
            aside.append((claim, Aside(claim.id, claim.content, claim.level, reason)))
        else:
            kept.append(claim)
    return kept, aside


def _named(rows: Iterable[Settled], aside: Sequence[tuple[Claim, Aside]]) -> list[Settled]:
    """The rows, each with the records of its network that were set aside."""
    return [
        replace(row, aside=tuple(one for claim, one in aside if _of(claim, row.claims)))
        for row in rows
    ]


def _repeats(claim: Claim, every: Collection[Claim]) -> str:
    """Why a record under a protocol adds nothing to another of its network, which takes its place.

    Nothing where it does, and of open runs, which have no rank to take.
    """
    if claim.protocol is None or len(every) == 1:
        return ""
    same = [one for one in every if _maybe_same(claim, one)]
    sound = [one for one in same if one.level != "reported"]
    if claim.level == "reported" and sound:
        return f"not all of it follows from what it stored, as all of {sound[0].id} does"
    its = network(claim.record, claim.weights)
    same = [one for one in same if one.weights and network(one.record, one.weights) == its]
    under = claim.protocol
    first = min(same, key=lambda one: _standing(one, under), default=claim)
    if _asked_alike(first, claim) or any(_contested(one, claim) for one in same):
        return ""
    return f"its network is that of {first.id} under another {_other(first, claim)}"


def _asked_alike(first: Claim, second: Claim) -> bool:
    """Whether two records of one network are of one run, by seed and training."""
    mine, yours = ((one.record.seed, one.record.config.get("train")) for one in (first, second))
    return mine == yours


def _other(first: Claim, second: Claim) -> str:
    return "training" if first.record.seed == second.record.seed else "seed"


def _contested(first: Claim, second: Claim) -> bool:
    """Whether two records of one network, asked otherwise, differ by more than another draw would.

    Of two that verify none is in doubt: an attack may find more under another seed.
    """
    if first.verified and second.verified:
        return False
    if not _same_facts(first.record, second.record) or not _judged_alike(first, second):
        return True
    mine, yours = ({row_key(row): row for row in one.outcomes.rows} for one in (first, second))
    if any(_differ_surely(mine[key], yours[key]) for key in mine.keys() & yours.keys()):
        return True
    radii, theirs = _certified(first), _certified(second)
    return any(_surely(radii[key], theirs[key]) for key in radii.keys() & theirs.keys())


def _differ_surely(first: RowOutcomes, second: RowOutcomes) -> bool:
    """Whether one row is right more often than another by more than chance allows."""
    if not (first.valid and second.valid):
        return False
    return _surely(first.right, second.right)


def _surely(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> bool:
    return mcnemar(int((first & ~second).sum()), int((second & ~first).sum())) < CHANCE


def _certified(claim: Claim) -> dict[Hashable, NDArray[np.bool_]]:
    """By radius and images of which its certificates are right; nothing where it certifies none."""
    name = f"{CERTIFICATES}.parquet"
    if claim.protocol is None or not claim.protocol.certified or not has_file(claim.folder, name):
        return {}
    table = certificate_table(claim.folder / name)
    images = table["image"].tobytes()
    radii = claim.protocol.certified["radii"]
    return {(radius, images): certified_at(table, radius) for radius in radii}


def _judged_alike(first: Claim, second: Claim) -> bool:
    """Whether audits of the same threats, as long, come to the same verdict, and audits of
    certificates to the same end."""
    return not _contradict(dict(_verdicts(first.record)), dict(_verdicts(second.record)))


def _verdicts(record: Record) -> Iterator[tuple[Hashable, object]]:
    for audit in record.audit:
        yield (audit.norm, audit.eps, audit.level, audit.n), audit.verdict
    if record.certificates:
        yield CERTIFICATES, record.certificates.refuted


def _standing(claim: Claim, protocol: Protocol) -> tuple[int, bool, int, float, tuple[str, str]]:
    """Orders records of one network and several seeds: what is proven first, then what is worse."""
    record = challenged(claim)[0]
    if protocol.headline_radius is not None:
        found = record.find_all("certified_accuracy", radius=protocol.headline_radius)
    else:
        at = {"norm": protocol.norm, "eps": protocol.headline_eps}
        found = (*record.find_all(WORST, **at), *record.find_all(AUDITED, **at))
    least = min((one.value for one in found if one.value is not None), default=1.0)
    refuted = record.certificates is not None and record.certificates.refuted
    worst = min((SEVERITY.index(audit.verdict) for audit in record.audit), default=len(SEVERITY))
    return -LEVELS.index(claim.level), not refuted, worst, least, _key(claim)


def _set_aside(claim: Claim, networks: Iterable[Sequence[Claim]]) -> str:
    """Why a record feeds no row beside those of its network that verify; nothing where it does."""
    same = [its for its in networks if _of(claim, its)]
    agreed = [one for its in same if not any(_disagree(one, claim) for one in its) for one in its]
    if same and not agreed:
        return "it contradicts the record that verifies"
    known = {key for one in agreed for key in _parts(one)}
    return "" if set(_parts(claim)) - known else "it says what the record that verifies says"


def _rows(claims: Sequence[Claim]) -> list[Settled]:
    """Rows of records of equal standing."""
    return [_network(its) for its in _networks(claims)]


def _networks(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Records of one network each; those of unknown weights may speak of every one."""
    unknown = [one for one in claims if one.weights is None]
    known = _by((one for one in claims if one.weights is not None), lambda one: one.weights)
    return [[*its, *unknown] for its in known] or [unknown]


def _network(claims: Sequence[Claim]) -> Settled:
    """The row of one network, of all its attacks."""
    disputed = any(_disagree(a, b) for a, b in combinations(claims, 2))
    return replace(_together(claims), disputed=disputed)


def _together(claims: Sequence[Claim]) -> Settled:
    """Their union, which the fullest record names; of equally full ones the lower."""
    ordered = sorted(claims, key=_key)
    fullest = sorted(ordered, key=lambda one: (-len(one.record.rows), _lowest(one.record)))
    return Settled(tuple(ordered), *merged([challenged(one) for one in fullest]))


def _lowest(record: Record) -> float:
    """The lowest worst case of a record."""
    worst = [value.value for value in record.values if value.metric == WORST]
    return min((value for value in worst if value is not None), default=1.0)


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
    """Whether two records say different things of one network; times are no answers."""
    if not _same_facts(first.record, second.record) or not _judged_alike(first, second):
        return True
    if _contradict(_by_votes(first.record), _by_votes(second.record)):
        return True
    if _contradict(_costs(first.record), _costs(second.record)):
        return True
    mine, yours = ({row_key(row): row for row in one.outcomes.rows} for one in (first, second))
    if any(_differ(mine[key], yours[key]) for key in mine.keys() & yours.keys()):
        return True
    return _contradict(_audited(first), _audited(second))


def _same_facts(first: Record, second: Record) -> bool:
    """Whether two records give their network the same bits, bytes and operations, where both do."""
    if None not in (first.bits, second.bits) and first.bits != second.bits:
        return False
    return not _contradict(_at_rest(first), _at_rest(second))


def _contradict(first: Mapping[Hashable, object], second: Mapping[Hashable, object]) -> bool:
    """Whether both speak of something, and differently."""
    return any(first[key] != second[key] for key in first.keys() & second.keys())


def _at_rest(record: Record) -> dict[Hashable, float | None]:
    return {
        (value.metric, *sorted(value.axes.items())): value.value
        for value in record.values
        if value.unit in AT_REST
    }


def _by_votes(record: Record) -> dict[Hashable, float | None]:
    """What certificates and predictions by vote give."""
    return {
        (value.metric, value.n, *sorted(value.axes.items())): value.value
        for value in record.values
        if value.metric in (*CERTIFIED, *PREDICTED)
    }


def _costs(record: Record) -> dict[Hashable, tuple[float, float]]:
    """Gradients and queries of the rows that count them, under the version of their attack."""
    made = record.provenance.components
    return {
        (*row_key(row), made.get(f"attack.{row.attack}")): (row.gradients, row.queries)
        for row in record.rows
        if row.status == "ok" and row.gradients is not None and row.queries is not None
    }


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
        if value.metric != WORST
    ]
    return [*values, *(row_key(row) for row in claim.record.rows)]
