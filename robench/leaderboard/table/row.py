"""One row of the main table: what a page keeps of a record once its folder is closed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from robench.core.outcomes import Outcomes, worst_cases
from robench.core.record import SYSTEM_KINDS, Record
from robench.leaderboard.read.merge import meaning, system
from robench.leaderboard.read.threat import RankingThreat, ranking_threat
from robench.leaderboard.read.traits import queries_only, weight_bits
from robench.leaderboard.read.twins import Settled
from robench.leaderboard.table.cells import Cell, Column, cells, layers
from robench.leaderboard.table.formats import attack_text
from robench.leaderboard.table.proof import Proof, prove
from robench.leaderboard.table.values import axis_names
from robench.records.compare import budgets
from robench.records.preview import shown
from robench.records.protocol import Settings, protocol, settings

Verdict = Literal["pass", "suspect", "fail", "invalid", "at_chance", "not_audited"]
ORDER: tuple[Verdict, ...] = ("fail", "invalid", "at_chance", "suspect", "pass")
"""Verdicts from the one that weighs most."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One strip of a preview picture: its attack, and (label, clean, attacked) per image."""

    picture: str
    """The picture's file."""
    place: int
    of: int
    """Which of the picture's strips it is, and how many there are."""
    title: str
    captions: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One evaluated model."""

    id: str
    folders: tuple[Path, ...]
    """Of the records that feed it."""
    files: tuple[str, ...]
    """What these are called on the site."""
    members: tuple[str, ...]
    """Their ids."""
    contents: tuple[str, ...]
    """The digests of their files."""
    weights: str
    """The beginning of the digest of its network's weights; nothing where no record keeps it."""
    system: str
    meaning: Settings
    """What another record of the row must not contradict."""
    protocol: str
    versions: dict[str, str]
    """Metric -> the version that measured it."""
    images: int
    chosen: dict[str, dict[str, dict[str, Any]]]
    """kind -> choice -> options, for data set, model, compressor, defense, and the certifier of
    rows that certify."""
    train: dict[str, Any]
    """What the run changes of the usual training recipe."""
    access: str
    seed: int
    bits: int
    verdict: Verdict
    cells: dict[Column, Cell]
    threat: RankingThreat | None
    right: bytes
    """Per image whether it stands the worst case, or is right without attacks; packed."""
    audited: tuple[int, int] | None
    """Images that stood the audit under the threat, of how many; None without one."""
    attacks: tuple[str, ...]
    queries_only: frozenset[str]
    """Those of them that read answers only."""
    strips: tuple[Strip, ...]
    """What its preview pictures show; empty without one."""
    axes: frozenset[str]
    """Names of the columns that its values' axes need in a table of values."""
    layers: tuple[tuple[str, float], ...]
    """||dW||_2 of each layer, in the network's order."""
    proof: Proof

    @property
    def counts(self) -> tuple[int, int]:
        """What ranks it: images right, of how many, as audited or as attacked.

        The lower share of the two: an audit of few images may miss those that the attacks broke.
        """
        right = int(np.bitwise_count(np.frombuffer(self.right, np.uint8)).sum())
        attacked = right, self.images
        if self.audited is None:
            return attacked
        return min(self.audited, attacked, key=lambda one: one[0] / one[1])

    @property
    def score(self) -> float:
        """The share that ranks it."""
        right, of = self.counts
        return right / of

    def names(self, kind: str) -> str:
        """The choices of a kind, joined."""
        return " + ".join(self.chosen[kind])


def make_row(
    row_id: str, settled: Settled, files: Sequence[str], strips: Sequence[Strip]
) -> tuple[BoardRow, Record, Outcomes]:
    """The row of settled records, and the record and the outcomes that it shows.

    `files` are the names under which the site keeps the records, in their order.
    """
    record, outcomes = settled.record, settled.outcomes
    threat = ranking_threat(record)
    proof = prove(settled)
    told = _told(record, proof)
    found = cells(told)
    worst = {(score.norm, score.eps): score for score in worst_cases(outcomes, budgets(record))}
    ranking = worst.get((threat.norm, threat.eps)) if threat else None
    right = outcomes.clean.right if ranking is None else ranking.right
    components = record.provenance.components
    known = settings(record.rows, record.config, components)
    row = BoardRow(
        id=row_id,
        folders=tuple(claim.folder for claim in settled.claims),
        files=tuple(files),
        members=tuple(claim.id for claim in settled.claims),
        contents=tuple(claim.content for claim in settled.claims),
        weights=(settled.weights or "")[:16],
        system=system(record),
        meaning=meaning(record, known),
        protocol=protocol(record.data, record.rows, known),
        versions=_versions(components),
        images=record.data.images,
        chosen={kind: record.config[kind] for kind in (*SYSTEM_KINDS, *_certifying(record))},
        train=record.config["train"],
        access=" + ".join(record.config["access"]),
        seed=record.seed,
        bits=weight_bits(record),
        verdict=_verdict(told),
        cells=found,
        threat=threat,
        right=np.packbits(right).tobytes(),
        audited=None if proof.audit_missing else _audited(record, threat),
        attacks=tuple(dict.fromkeys(row.attack for row in record.rows)),
        queries_only=queries_only(record),
        strips=tuple(strips),
        axes=axis_names(record),
        layers=tuple((str(v.axes["layer"]), v.value or 0.0) for v in layers(record.values)),
        proof=proof,
    )
    return row, record, outcomes


def _told(record: Record, proof: Proof) -> Record:
    """The record without audits that pass by their word alone."""
    if not proof.audit_missing:
        return record
    kept = tuple(audit for audit in record.audit if audit.verdict != "pass")
    return record.model_copy(update={"audit": kept})


def strips(picture: str, outcomes: Outcomes) -> Iterator[Strip]:
    """The same images, in the same order, as `save_preview` drew into a record's picture."""
    drawn = outcomes.attacked
    for place, row in enumerate(drawn):
        columns = row.label, row.clean_prediction, row.prediction
        at = shown(*columns)
        captions = zip(*(column[at].tolist() for column in columns), strict=True)
        title = attack_text(row.attack, row.access, row.norm, row.eps)
        yield Strip(picture, place, len(drawn), title, tuple(captions))


def _certifying(record: Record) -> tuple[str, ...]:
    return ("certifier",) if "certified" in record.config["metric"] else ()


def _audited(record: Record, threat: RankingThreat | None) -> tuple[int, int] | None:
    value = threat and record.find("audited_accuracy", norm=threat.norm, eps=threat.eps)
    if not value or value.value is None or not value.n:
        return None
    return round(value.value * value.n), value.n


def _verdict(record: Record) -> Verdict:
    found: set[Verdict] = {audit.verdict for audit in record.audit}
    if any(row.status == "invalid" for row in record.rows):
        found.add("invalid")
    if record.status == "at_chance":
        found.add("at_chance")
    return next((verdict for verdict in ORDER if verdict in found), "not_audited")


def _versions(components: Mapping[str, str]) -> dict[str, str]:
    """Metric -> its component's own version, the last word of `distribution version / version`."""
    return {k: v.rpartition(" ")[2] for k, v in components.items() if k.startswith("metric.")}
