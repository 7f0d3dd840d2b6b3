"""What a row proves, as its page and the table say it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from robench.leaderboard.read.challenged import Break, breaks
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.threat import RankingThreat
from robench.leaderboard.read.twins import Aside, Settled, Version
from robench.leaderboard.table.formats import interval, number
from robench.records.support.held import AUDIT_TABLE
from robench.records.trust import Attestation, Level


@dataclass(frozen=True)
class Replicate:
    """One of the networks that were trained apart for one row."""

    ids: tuple[str, ...]
    weights: str
    """The beginning of the digest of its weights; nothing where it keeps none."""
    level: Level
    metric: str
    value: float | None
    """Its number under the threat that ranks the row."""
    counts: bool
    """Whether the row's numbers may come from it."""


@dataclass(frozen=True)
class Proof:
    """What a row proves, and what moved or could not move its numbers."""

    level: Level
    unfounded: tuple[str, ...] = ()
    """What of it nothing stored supports."""
    attestations: tuple[Attestation, ...] = ()
    disputed: bool = False
    audit_missing: bool = False
    """Whether an audit's table is missing, so that its verdict stands on nothing."""
    replicates: tuple[Replicate, ...] = ()
    """All of them where there are several."""
    aside: tuple[Aside, ...] = ()
    breaks: tuple[Break, ...] = ()

    @property
    def ranked(self) -> bool:
        """Whether it proves enough for a rank."""
        return self.level != "reported" and not self.disputed

    @property
    def notes(self) -> tuple[str, ...]:
        """What the table says below the row's name."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.disputed:
            yield "disputed"
        if self.replicates:
            yield spread(self.replicates)
        for one in self.breaks:
            yield broken_by(one)


def spread(replicates: tuple[Replicate, ...]) -> str:
    """How many replicates there are and how far they lie apart: `3 replicates, 81.2–83.0 %`."""
    values = sorted(one.value for one in replicates if one.value is not None)
    ends = f", {interval(values[0], values[-1], 'share')} %" if values else ""
    uncounted = sum(not one.counts for one in replicates)
    return f"{len(replicates)} replicates{ends}" + (f", {uncounted} not counted" * bool(uncounted))


def broken_by(one: Break) -> str:
    """What a challenge took: `broken by NAME: -2.5 points`."""
    said = "broken" if one.counts else "challenged, not verified,"
    return f"{said} by {one.source}: \N{MINUS SIGN}{number(one.points / 100, 'share')} points"


def prove(settled: Settled, threat: RankingThreat | None) -> Proof:
    """What a row's records prove together."""
    claims = settled.claims
    every = [*settled.versions, *settled.uncounted]
    several = [_replicate(one, threat, one in settled.versions) for one in every]
    table = f"{AUDIT_TABLE}.parquet"
    missing = [one for one in claims if one.record.audit and not (one.folder / table).is_file()]
    return Proof(
        level=settled.level,
        unfounded=tuple(dict.fromkeys(text for one in claims for text in one.taken.unfounded)),
        attestations=tuple(one.attestation for one in claims if one.attestation),
        disputed=settled.disputed,
        audit_missing=bool(missing),
        replicates=tuple(several) if len(several) > 1 else (),
        aside=settled.aside,
        breaks=tuple(one for claim in _challenged(settled) for one in breaks(claim)),
    )


def _challenged(settled: Settled) -> list[Claim]:
    return [one for one in settled.claims if one.challenges]


def _replicate(version: Version, threat: RankingThreat | None, counts: bool) -> Replicate:
    metric, value = "clean_accuracy", version.record.find("clean_accuracy")
    if threat:
        metric = "worst_case_accuracy"
        value = version.record.find(metric, norm=threat.norm, eps=threat.eps)
    levels = Settled((version,), disputed=False)
    return Replicate(
        ids=tuple(one.id for one in version.claims),
        weights=next((one.weights[:8] for one in version.claims if one.weights), ""),
        level=levels.level,
        metric=metric.replace("_", " "),
        value=value.value if value else None,
        counts=counts,
    )
