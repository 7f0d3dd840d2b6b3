"""What a number means, in one word and one sentence: of a row, and of a system under a threat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from robench.base.stats import paired, wilson
from robench.core.record import worst
from robench.records.protocol import NO_ACCESS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.outcomes import Score
    from robench.core.record import AttackRow, Record, WeakAttack

Word = Literal[
    "holds",
    "weak",
    "masked",
    "suspect",
    "broken",
    "upper_bound",
    "not_audited",
    "invalid",
    "at_chance",
]
LEAST = 1
"""Points by which a row must overstate before it is called weak."""


@dataclass(frozen=True)
class Said:
    """A word about a number, and the sentence that explains it."""

    word: Word
    sentence: str

    @property
    def mark(self) -> str:
        """What the word is called beside a number: `holds`, `overstates by 12`."""
        return self.sentence.partition(" points")[0] if self.word == "weak" else called(self.word)


CALLED: dict[Word, str] = {
    "upper_bound": "cannot be measured",
    "invalid": "attack failed",
}
"""What words are called beside a number where that says more than they do."""


def called(word: Word) -> str:
    """A word as people read it."""
    return CALLED.get(word, word.replace("_", " "))


def word_of(
    record: Record, labels: NDArray[np.integer], norm: str, eps: float, holds: NDArray[np.bool_]
) -> Said:
    """The word of a system under a threat; `holds` is its headline, `labels` are the images': (N,).

    `masked` only where the audit found that gradients mislead; `broken` where the headline cannot
    be told from what naming the commonest class gives, so that 0 % never holds; `upper_bound` where
    no gradient of the judged file was at hand.
    """
    rows = [row for row in record.rows if (row.norm, row.eps) in ((norm, eps), (norm, None))]
    failed = [row for row in rows if row.status == "invalid"]
    if why := _nothing_known(record, rows, failed):
        return Said("invalid", why)
    said = _of_what_worked(record, labels, norm, eps, holds)
    if not failed:
        return said
    return Said(said.word, f"{said.sentence}; on fewer attacks than asked: {_names(failed)} failed")


def _nothing_known(record: Record, rows: Sequence[AttackRow], failed: Sequence[AttackRow]) -> str:
    """Why attacks that failed leave nothing known under a threat; nothing where they do not.

    A protocol fixes every attack. An open run's may fail beside another search of its access.
    """
    if failed and len(failed) == len(rows):
        return "no attack worked, so nothing is known: not robust"
    if failed and record.config.get("protocol"):
        return f"an attack that the protocol fixes failed: {_names(failed)}"
    worked = {row.access for row in rows if row.status != "invalid"}
    alone = [row for row in failed if row.access not in {*worked, NO_ACCESS}]
    return f"no other attack of its access worked: {_names(alone)} failed" if alone else ""


def _names(rows: Sequence[AttackRow]) -> str:
    return ", ".join(dict.fromkeys(f"{row.attack} ({row.access})" for row in rows))


def _of_what_worked(
    record: Record, labels: NDArray[np.integer], norm: str, eps: float, holds: NDArray[np.bool_]
) -> Said:
    if record.status == "at_chance":
        return Said("at_chance", f"{no_claim(labels)}: nothing about it can be claimed")
    if why := unled(record):
        nothing = no_better(labels, holds)
        return Said("broken", nothing) if nothing else Said("upper_bound", why)
    audits = [audit for audit in record.audit if (audit.norm, audit.eps) == (norm, eps)]
    verdict = worst(audit.verdict for audit in audits)
    if verdict == "fail":
        return Said("masked", "gradients mislead: attacks that fail by them say nothing")
    if why := no_better(labels, holds):
        return Said("broken", why)
    if verdict == "suspect":
        return Said("suspect", "signs that gradients mislead: attacks may have failed by them")
    if not audits:
        return Said("not_audited", "no audit looked whether the attacks could work")
    return Said("holds", "no sign that gradients mislead")


def unled(record: Record) -> str:
    """Why no gradient of a judged file led an attack, so that it may be weaker yet; else ''."""
    if record.file and record.file.black_box:
        return (
            f"not measurable: the file is a black box ({record.file.black_box}), so that attacks "
            "by queries and by transfer bound it from above"
        )
    if record.agreement.surrogate:
        said = record.agreement
        logits = "" if said.explained is None else f", {said.explained:.1%} of the logits explained"
        return (
            f"the twin is a surrogate (equal labels on {said.equal_labels:.1%} of clean and "
            f"{said.adversarial or 0.0:.1%} of attacked images{logits}), so that attacks by "
            "transfer bound the file from above"
        )
    return ""


def no_claim(labels: NDArray[np.integer]) -> str:
    """Why nothing is claimed of a model at chance on images of these `labels`: (N,)."""
    commonest, n = _commonest(labels), len(labels)
    if commonest == 1 and n > 1:
        return "all images are of one class"
    if wilson(n, n)[0] <= commonest:
        return f"too few images ({n}) to tell the model from chance"
    return "the model is at chance"


def no_better(labels: NDArray[np.integer], holds: NDArray[np.bool_]) -> str:
    """Why a share of images is no better than naming the commonest of their `labels`; else ''.

    It is better where its Wilson 95 % interval lies above what that gets right.
    """
    commonest = _commonest(labels)
    if not holds.any():
        return "nothing holds"
    if wilson(int(holds.sum()), len(holds))[0] > commonest:
        return ""
    return f"not surely more than always naming one class gets right, {commonest:.0%}"


def word_of_row(
    record: Record, row: AttackRow, score: Score | None, holds: NDArray[np.bool_]
) -> Said | None:
    """The word of a row, or None where none is due.

    `score` is its robust accuracy under the threat, None of an invalid row, whose headline is
    `holds`. A weak row is one that the headline surely beats (paired 95 % interval), or whose
    attack missed what the audit planted.
    """
    if row.status == "invalid" or score is None:
        return Said("invalid", f"the attack failed, which is no robustness: {row.message}")
    if row.status == "at_chance":
        return Said("at_chance", "the model is at chance: nothing about it can be claimed")
    over, audited = paired(score.right, holds), _weak(record, score)
    gained = [over.difference] if over.low > 0 else []
    # Of an audit of some images the headline dilutes what the row gained on these.
    gained += [audited.gained] if audited and audited.low > 0 else []
    points = round(100 * max(gained, default=0.0))
    if points >= LEAST:
        unit = "point" if points == 1 else "points"
        return Said("weak", f"weak attack: overstates by {points} {unit}")
    if audited and audited.low <= 0 and audited.missed:
        planted = f"{audited.missed:.0%} of the examples planted for it"
        return Said("weak", f"weak attack: misses {planted}")
    return None


def _weak(record: Record, score: Score) -> WeakAttack | None:
    """What the audit of a row's threat says of the row as a weak attack."""
    for audit in record.audit:
        for weak in audit.weak_attacks:
            mine = weak.attack, weak.access, audit.norm, audit.eps
            if mine == (score.attack, score.access, score.norm, score.eps):
                return weak
    return None


def _commonest(labels: NDArray[np.integer]) -> float:
    """What always naming the commonest class gets right, in [0,1]."""
    return float(np.bincount(labels).max()) / len(labels)
