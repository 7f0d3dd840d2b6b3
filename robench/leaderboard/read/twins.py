"""Records of one system beside each other: what feeds a row, what disputes it, what is set aside.

Each network has rows of its own, so that no other network moves them. Of one network, a record
that verifies is moved by none that does not; of the others the worse number stands. Under a
protocol a network has one row, whatever seeds and training its records name; where these differ by
more than chance the row is disputed. A record that does not follow from what it stored moves none
that does. No clock, no name of a folder and no order decides.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from robench.core.outcomes import Outcomes
from robench.core.record import Record, Value
from robench.leaderboard.read.challenged import AUDITED, WORST, challenged
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.facts import differ_surely, disagree
from robench.leaderboard.read.merge import SEVERITY, merged, network, row_key
from robench.records.protocols import Protocol
from robench.records.trust import LEVELS, Level

T = TypeVar("T")


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
    lesser = _lesser(list(once.values()))
    every, aside = _split(once.values(), lambda one: lesser.get(one.content, ""))
    proven = [one for one in every if one.verified]
    others = [one for one in every if not one.verified]
    if not proven:
        return _rows(others, aside)
    networks = _by(proven, lambda one: one.weights)
    kept, contrary = _split(others, lambda one: _set_aside(one, networks))
    rows = _rows(proven, [*aside, *contrary])
    return [*rows, *(_rows(kept, aside) if kept else [])]


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


def _lesser(every: Sequence[Claim]) -> dict[str, str]:
    """By content of a record why another of its network takes its place."""
    found: dict[str, str] = {}
    sound = [one for one in every if one.level != "reported"]
    for claim in every:
        # What keeps no model takes no place of what does.
        able = (one for one in sound if one.weights or not claim.weights)
        better = next((one for one in able if _maybe_same(claim, one)), None)
        if claim.level == "reported" and better:
            found[claim.content] = (
                f"not all of it follows from what it stored, as all of {better.id} does"
            )
    ranked = [one for one in every if one.protocol and one.weights and one.content not in found]
    for same in _by(ranked, lambda one: network(one.record, one.weights)):
        found |= _repeated(same)
    return found


def _repeated(same: Sequence[Claim]) -> dict[str, str]:
    """By content of a record of a network and protocol, which has one rank, why it adds nothing to
    the one that stands: it was asked under another seed or training, and says the same."""
    first = min(same, key=_standing)
    return {
        claim.content: f"its network is that of {first.id} under another {_other(first, claim)}"
        for claim in same
        if not _asked_alike(first, claim) and not _contested(first, claim)
    }


def _asked_alike(first: Claim, second: Claim) -> bool:
    """Whether two records of one network are of one run, by seed and training."""
    mine, yours = ((one.record.seed, one.record.config.get("train")) for one in (first, second))
    return mine == yours


def _other(first: Claim, second: Claim) -> str:
    return "training" if first.record.seed == second.record.seed else "seed"


def _contested(first: Claim, second: Claim) -> bool:
    """Whether two records of one network, asked otherwise, cannot both be right.

    Of two that verify none is in doubt: an attack may find more under another seed.
    """
    return not (first.verified and second.verified) and differ_surely(first.facts, second.facts)


def _standing(claim: Claim) -> tuple[int, bool, int, float, tuple[str, str]]:
    """Orders records of one network and protocol: what is proven first, then what is worse."""
    record, protocol = challenged(claim)[0], claim.protocol
    if protocol is None:
        found: Sequence[Value] = ()
    elif protocol.headline_radius is not None:
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
    if agreed and claim.protocol:
        return "under a protocol the record that verifies speaks for its network"
    known = {key for one in agreed for key in _parts(one)}
    return "" if set(_parts(claim)) - known else "it says what the record that verifies says"


def _disagree(*claims: Claim) -> bool:
    return disagree(one.facts for one in claims)


def _rows(claims: Sequence[Claim], aside: Sequence[tuple[Claim, Aside]]) -> list[Settled]:
    """A row a network, of records of equal standing, each with those that were set aside.

    A record that keeps no model may speak of every network, and nobody can judge it again. It
    disputes what it contradicts and feeds rows to which it adds nothing. Unless one network's row
    has all such records, they have a row of their own, too.
    """
    unknown = [one for one in claims if one.weights is None]
    known = _by((one for one in claims if one.weights is not None), lambda one: one.weights)
    if not known:
        return [_row(unknown, aside)]
    joining = [[one for one in unknown if _adds_nothing(one, its)] for its in known]
    rows = [
        replace(_row([*its, *more], aside), disputed=_disagree(*its, *unknown))
        for its, more in zip(known, joining, strict=True)
    ]
    if all(len(more) < len(unknown) for more in joining):
        contradicted = all(_disagree(*its, *unknown) for its in known)
        rows.append(replace(row := _row(unknown, aside), disputed=row.disputed or contradicted))
    return rows


def _row(claims: Sequence[Claim], aside: Iterable[tuple[Claim, Aside]]) -> Settled:
    """The row of one network, of all its attacks."""
    return replace(
        _together(claims),
        disputed=_disagree(*claims),
        aside=tuple(one for claim, one in aside if _of(claim, claims)),
    )


def _adds_nothing(claim: Claim, network: Sequence[Claim]) -> bool:
    """Whether a record agrees with one of a network, and adds no attack to all of them: under a
    protocol all have the same."""
    if all(_disagree(claim, one) for one in network):
        return False
    known = {part for one in network for part in _parts(one)}
    return bool(claim.protocol) or known.issuperset(_parts(claim))


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


def _parts(claim: Claim) -> list[Hashable]:
    """What a record speaks of: its rows, and its values but the worst cases that follow."""
    values = [
        (value.metric, *sorted(value.axes.items()))
        for value in claim.record.values
        if value.metric != WORST
    ]
    return [*values, *(row_key(row) for row in claim.record.rows)]
