"""One row of the main table: what a page keeps of a record once its folder is closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.core.outcomes import Outcomes
from robench.core.record import SYSTEM_KINDS, FileInfo, Record
from robench.leaderboard.read.merge import meaning, network, origin, recipe, system
from robench.leaderboard.read.threat import Threat, headline_threat
from robench.leaderboard.read.traits import queries_only, weight_bits
from robench.leaderboard.read.twins import Settled
from robench.leaderboard.table.cells import (
    Cell,
    Column,
    cells,
    certified_cell,
    certified_column,
    layers,
    robust_column,
)
from robench.leaderboard.table.formats import attack_text
from robench.leaderboard.table.headlines import certified, headlines
from robench.leaderboard.table.proof import Proof, prove, uncertified
from robench.leaderboard.table.values import axis_names
from robench.records.headline import Headline
from robench.records.preview import shown
from robench.records.protocol import Settings, settings
from robench.records.protocols import Protocol
from robench.records.words import Said, Word, no_better

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOT_ATTACKED = Said("not_audited", "no attack was tried under this threat")


@dataclass(frozen=True, slots=True)
class Strip:
    """One strip of a preview picture: its attack, and (label, clean, attacked) per image."""

    title: str
    captions: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One evaluated model."""

    id: str
    folders: tuple[Path, ...]
    """Of the records that feed it."""
    members: tuple[str, ...]
    """Their ids."""
    contents: tuple[str, ...]
    """The digests of their files."""
    weights: str
    """The beginning of the digest of its network's weights; nothing where no record keeps it."""
    system: str
    network: str
    """What its records share with those of the same network under another seed, or nothing."""
    recipe: str
    """What it shares with networks that were trained and deployed alike under other seeds."""
    origin: str
    """What it shares with its float parent."""
    meaning: Settings
    """What another record of the row must not contradict."""
    protocol: Protocol | None
    """The named protocol that it keeps; None of an open run."""
    why_open: str
    """Why it is under none."""
    images: int
    chosen: dict[str, dict[str, dict[str, Any]]]
    """kind -> choice -> options, for data set, model, compressor, defense, and the certifier of
    rows that certify."""
    train: dict[str, Any]
    """What the run changes of the usual training recipe."""
    access: str
    seed: int
    bits: int
    file: FileInfo | None
    """The shipped file that was judged; None of a network that robench made."""
    word: Word
    """What its number under the threat means."""
    sentence: str
    """The same as a sentence."""
    cells: Mapping[Column, Cell]
    threat: Threat | None
    """What its headline is about: its protocol's, or of an open run its own."""
    right: bytes
    """Per image whether it stands what its protocol ranks by; packed, empty where unknown."""
    judged: int
    """How many images these are."""
    missing: str
    """Why it is unknown."""
    subset: str
    """On how many images its audit looked, where these are not all."""
    attacks: tuple[str, ...]
    queries_only: frozenset[str]
    """Those of them that read answers only."""
    strips: tuple[Strip, ...]
    """What its preview pictures show, from the first's top to the last's end; empty without one."""
    axes: frozenset[str]
    """Names of the columns that its values' axes need in a table of values."""
    layers: tuple[tuple[str, float], ...]
    """||dW||_2 of each layer, in the network's order."""
    proof: Proof

    @property
    def key(self) -> str:
        """The name and version of its protocol; nothing of an open run."""
        return f"{self.protocol.name}@{self.protocol.version}" if self.protocol else ""

    @property
    def radius(self) -> float | None:
        """The radius whose certified accuracy ranks it; None where its headline does."""
        return self.protocol.headline_radius if self.protocol else None

    @property
    def score(self) -> float:
        """The share that orders it among those that it may be compared with; 0 if unknown."""
        return int.from_bytes(self.right).bit_count() / self.judged if self.right else 0.0

    @property
    def headline(self) -> Column | None:
        """The column of what ranks it; None where nothing attacked it under its threat."""
        if self.radius is not None:
            wanted = certified_column(self.radius)
        elif self.threat is not None:
            wanted = robust_column(self.threat)
        else:
            return None
        return wanted if wanted in self.cells else None

    @property
    def mark(self) -> str:
        """What its number's word is called beside it: `holds`, `overstates by 12`."""
        return Said(self.word, self.sentence).mark

    @property
    def notes(self) -> tuple[str, ...]:
        """What the table says below its name."""
        return (self.subset, *self.proof.notes) if self.subset else self.proof.notes

    def names(self, kind: str) -> str:
        """The choices of a kind, joined."""
        return " + ".join(self.chosen[kind])


def make_row(
    row_id: str, settled: Settled, strips: Sequence[Strip]
) -> tuple[BoardRow, Record, Outcomes]:
    """The row of settled records, and the record and the outcomes that it shows."""
    record, outcomes = settled.record, settled.outcomes
    proof = prove(settled)
    told = _told(record, proof)
    heads = headlines(settled, told)
    threat = headline_threat(settled.protocol, heads)
    head = heads.get(threat) if threat else None
    found = cells(told, outcomes, heads)
    right, missing = _ranks_by(settled, proof, head)
    said = head.said if head else _unknown(told)
    if settled.protocol and settled.protocol.headline_radius is not None:
        said = _said_of_certificates(told, outcomes.clean.label, right, missing)
        if right is not None:
            found |= certified_cell(settled.protocol.headline_radius, right, said)
    known = settings(record.rows, record.config, record.provenance.components)
    row = BoardRow(
        id=row_id,
        folders=tuple(claim.folder for claim in settled.claims),
        members=tuple(claim.id for claim in settled.claims),
        contents=tuple(claim.content for claim in settled.claims),
        weights=(settled.weights or "")[:16],
        system=system(record),
        network=network(record, settled.weights),
        recipe=recipe(record),
        origin=origin(record),
        meaning=meaning(record, known),
        protocol=settled.protocol,
        why_open=settled.claims[0].why_open,
        images=record.data.images,
        chosen={kind: record.config[kind] for kind in (*SYSTEM_KINDS, *_certifying(record))},
        train=record.config["train"],
        access=" + ".join(record.config["access"]),
        seed=record.seed,
        bits=weight_bits(record),
        file=record.file,
        word=said.word,
        sentence=said.sentence,
        cells=found,
        threat=threat,
        right=b"" if right is None else np.packbits(right).tobytes(),
        judged=0 if right is None else len(right),
        missing=missing,
        subset=_subset(head),
        attacks=tuple(dict.fromkeys(row.attack for row in record.rows)),
        queries_only=queries_only(record),
        strips=tuple(strips),
        axes=axis_names(record),
        layers=tuple((str(v.axes["layer"]), v.value or 0.0) for v in layers(record.values)),
        proof=proof,
    )
    return row, record, outcomes


def _told(record: Record, proof: Proof) -> Record:
    """The record without audits that pass by their word alone, and without refuted certificates."""
    shown: dict[str, object] = {}
    if proof.audit_missing:
        shown["audit"] = tuple(audit for audit in record.audit if audit.verdict != "pass")
    if proof.refuted:
        shown["values"] = uncertified(record.values)
    return record.model_copy(update=shown) if shown else record


def strips(outcomes: Outcomes) -> Iterator[Strip]:
    """The same images, in the same order, as `save_preview` drew into a record's picture."""
    for row in outcomes.attacked:
        columns = row.label, row.clean_prediction, row.prediction
        at = shown(*columns)
        captions = zip(*(column[at].tolist() for column in columns), strict=True)
        title = attack_text(row.attack, row.access, row.norm, row.eps)
        yield Strip(title, tuple(captions))


def _certifying(record: Record) -> tuple[str, ...]:
    return ("certifier",) if "certified" in record.config["metric"] else ()


def _ranks_by(
    settled: Settled, proof: Proof, head: Headline | None
) -> tuple[NDArray[np.bool_] | None, str]:
    """Per image whether it stands what the protocol ranks by, or why that is unknown.

    An open run is ordered by its own headline, or where nothing attacked it by its clean answers.
    """
    protocol = settled.protocol
    if protocol is None and head is None:
        return settled.outcomes.clean.right, ""
    if protocol is None or protocol.headline_radius is None:
        return (
            (head.holds, "") if head else (None, "nothing attacked it under the protocol's threat")
        )
    if proof.refuted:
        return None, proof.refuted
    right = certified(settled, protocol.headline_radius)
    return right, "" if right is not None else (
        f"nothing says what it certifies at radius {protocol.headline_radius:g}"
    )


def _said_of_certificates(
    record: Record, labels: NDArray[np.integer], right: NDArray[np.bool_] | None, missing: str
) -> Said:
    """The word of what a certified protocol ranks by."""
    audit = record.certificates
    if record.status == "at_chance":
        return _unknown(record)
    if audit is not None and audit.refuted:
        return Said("broken", missing)
    # Naming one class always is certified at every radius.
    if right is not None and (why := no_better(labels, right)):
        return Said("broken", why if right.any() else "nothing is certified")
    if right is None or audit is None or not audit.attacked:
        return Said("not_audited", missing or "no attack looked inside the certificates")
    return Said("holds", audit.sentence.rstrip("."))


def _unknown(record: Record) -> Said:
    """The word of a system that no attack was tried on under the threat."""
    if record.status == "at_chance":
        return Said("at_chance", "the model is at chance: nothing about it can be claimed")
    return NOT_ATTACKED


def _subset(head: Headline | None) -> str:
    """On how many images its audit looked, where these are not all."""
    if head is None or head.subset is None:
        return ""
    one = head.subset
    return f"audited on {one.images} of {one.of} images"
