"""What a row proves, as its page and the table say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from robench.base.files import has_file
from robench.base.text import one_line
from robench.core.record import CertificateAudit, Value
from robench.leaderboard.read.challenged import Break, breaks
from robench.leaderboard.read.twins import Aside, Settled
from robench.leaderboard.table.formats import number
from robench.records.support.held import AUDIT_TABLE
from robench.records.trust import Attestation, Level, Step


@dataclass(frozen=True)
class Proof:
    """What a row proves, and what moved or could not move its numbers."""

    level: Level
    levels: tuple[Level, ...]
    """Of each record that feeds it, of which the row's is the lowest."""
    unfounded: tuple[str, ...] = ()
    """What of it nothing stored supports."""
    attestations: tuple[Attestation, ...] = ()
    disputed: bool = False
    audit_missing: bool = False
    """Whether an audit's table is missing, so that its verdict stands on nothing."""
    refuted: str = ""
    """Why none of its certificates stands; nothing where they do."""
    aside: tuple[Aside, ...] = ()
    breaks: tuple[Break, ...] = ()

    @property
    def ranked(self) -> bool:
        """Whether it proves enough for a rank."""
        return self.level != "reported" and not self.disputed

    @property
    def found_false(self) -> tuple[Step, ...]:
        """What its verifications found false."""
        return tuple(
            step for one in self.attestations for step in one.steps if step.outcome == "fail"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What the table says below the row's name."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        if self.disputed:
            yield "disputed"
        if self.found_false:
            yield "refuted by a verification"
        if self.refuted:
            yield self.refuted
        for one in self.breaks:
            yield broken_by(one)


def broken_by(one: Break) -> str:
    """What a challenge took: `broken by NAME: -2.5 points`."""
    said = "broken" if one.counts else "challenged, not verified,"
    return f"{said} by {one.source}: \N{MINUS SIGN}{number(one.points / 100, 'share')} points"


def prove(settled: Settled) -> Proof:
    """What a row's records prove together."""
    claims = settled.claims
    table = f"{AUDIT_TABLE}.parquet"
    missing = [one for one in claims if one.record.audit and not has_file(one.folder, table)]
    return Proof(
        level=settled.level,
        levels=tuple(one.level for one in claims),
        unfounded=tuple(dict.fromkeys(text for one in claims for text in one.taken.unfounded)),
        attestations=tuple(_plain(one.attestation) for one in claims if one.attestation),
        disputed=settled.disputed,
        audit_missing=bool(missing),
        refuted=_refuted(settled.record.certificates),
        aside=settled.aside,
        breaks=tuple(one for claim in claims if claim.challenges for one in breaks(claim)),
    )


def _refuted(audit: CertificateAudit | None) -> str:
    """What broke a row's certificates: `certificates refuted: image 7 and 2 others broken ...`."""
    if audit is None or not audit.refuted:
        return ""
    first, more = audit.broken[0].image, len(audit.broken) - 1
    others = f" and {more} other{'s'[: more > 1]}" if more else ""
    return f"certificates refuted: image {first}{others} broken inside the certified radius"


def uncertified(values: Iterable[Value]) -> tuple[Value, ...]:
    """Values without those of certificates."""
    return tuple(value for value in values if "certif" not in value.metric)


def _plain(attestation: Attestation) -> Attestation:
    """The attestation with every text as one visible line."""
    steps = [
        step.model_copy(update={"name": one_line(step.name), "text": one_line(step.text)})
        for step in attestation.steps
    ]
    texts = ("record", "content", "date", "robench", "torch", "machine")
    plain = {name: one_line(getattr(attestation, name)) for name in texts}
    return attestation.model_copy(update={**plain, "steps": tuple(steps)})
