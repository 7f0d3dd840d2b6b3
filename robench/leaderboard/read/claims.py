"""A record with what it proves, by its own files and by those who judged it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from robench.base.hashing import file_hash
from robench.base.turns import Steps
from robench.collection.known import Seen, stands
from robench.core.outcomes import Outcomes
from robench.core.record import Record
from robench.leaderboard.read.facts import Facts
from robench.leaderboard.read.intake import Taken, taking
from robench.leaderboard.read.private import check_text
from robench.records.challenges import Challenge, read_challenges
from robench.records.protocols import Protocol, protocol_of, why_open
from robench.records.store import artefact, shared_files
from robench.records.trust import Attestation, Level, content, level

CHALLENGES = "challenges"
"""The step of a verification that judges challenges."""

Attestations = Mapping[str, Attestation]
"""By the digest of the files they speak of."""


@dataclass(frozen=True)
class Claim:
    """A record taken in, and what it proves."""

    taken: Taken
    content: str
    """SHA-256 of its files."""
    weights: str | None
    """SHA-256 of the model that it deployed; None where it keeps none."""
    attestation: Attestation | None
    challenges: tuple[Challenge, ...] = ()
    protocol: Protocol | None = None
    """The named protocol that it keeps; None of an open run."""
    why_open: str = ""
    """Why it is under none."""

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id

    @property
    def record(self) -> Record:
        """The record."""
        return self.taken.record

    @property
    def outcomes(self) -> Outcomes:
        """Its outcomes."""
        return self.taken.outcomes

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.taken.folder

    @cached_property
    def facts(self) -> Facts:
        """What it says of its network."""
        return Facts(self.record, self.outcomes, self.folder, self.protocol)

    @property
    def level(self) -> Level:
        """What it proves."""
        return level(self.taken.unfounded, self.attestation)

    @property
    def verified(self) -> bool:
        """Whether its deployed model was judged again."""
        return self.level == "verified"

    @property
    def challenges_count(self) -> bool:
        """Whether its model was seen to get wrong what its challenges name."""
        return self.attestation is not None and self.attestation.passed(CHALLENGES)


def read_claim(seen: Seen, attestations: Attestations) -> Steps[Claim]:
    """Take a record in; raises UserError for one that cannot stand on a page.

    Where the disk says the same of its folder after all was read, nothing is read again to tell
    the digest of its files.
    """
    folder = seen.folder
    taken = yield from taking(folder)
    yield
    shared = any(True for _ in shared_files(folder))
    its = seen.content if not shared and stands(seen) else content(folder)
    yield
    challenges = tuple(read_challenges(folder))
    for one in challenges:
        check_text(one.source, "the source of a challenge")
    protocol = protocol_of(taken.record)
    why = "" if protocol else why_open(taken.record)
    weights = _weights(taken)
    return Claim(taken, its, weights, attestations.get(its), challenges, protocol, why)


def _weights(taken: Taken) -> str | None:
    """The digest that the record states of its model, or that of the file of an older record."""
    kept = artefact(taken.folder)
    return (taken.record.files.get(kept.name) or file_hash(kept)) if kept else None
