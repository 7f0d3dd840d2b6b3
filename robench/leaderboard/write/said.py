"""The sentences of a row's page: what warns of its numbers, what its audits found, what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from robench.base.text import one_line
from robench.core.record import (
    AttackRow,
    Audit,
    FileInfo,
    Finding,
    Record,
    TwinAgreement,
    WeakAttack,
)
from robench.core.sentences import spoken
from robench.core.threat import eps_text
from robench.leaderboard.table.formats import NORM_NAMES, interval, number, short
from robench.leaderboard.table.proof import broken_by
from robench.leaderboard.table.row import BoardRow
from robench.records.trust import Level
from robench.records.words import LEAST, Word

OPENINGS: dict[Word, str] = {
    "holds": "Believe the number",
    "weak": "Believe less than the number",
    "suspect": "Believe the number with care",
    "masked": "Do not read the number as robustness",
    "broken": "Believe that nothing holds",
    "upper_bound": "Believe this much at most",
    "not_audited": "Believe this much at most",
    "invalid": "There is no number to believe",
    "at_chance": "There is no number to believe",
}
"""How the sentence begins that says what to believe."""
PROVEN: dict[Level, str] = {
    "verified": "its deployed model was judged and searched again, with the same outcome",
    "consistent": "it follows from what its record stored, and nobody has judged its model again",
    "reported": "not all of it follows from what its record stored, the rest is its author's word",
}
"""What each level adds to it."""
DISPUTED = (
    "Disputed: records of this system, of the same or of unknown weights, contradict each other, "
    "and none of them alone verifies. The worse answer stands."
)
AT_CHANCE = "The model is at chance: nothing about its robustness can be claimed."
IMPERFECT = (
    "The twin agrees with the file on fewer than 99.9\N{NO-BREAK SPACE}% of the images, clean or "
    "attacked: what it fails to break, the file may not stand."
)
NO_TABLE = "The table of what this audit found is missing, so that nothing supports what it says."
NOT_AUDITED = (
    "This run was not audited: its robust accuracies may rest on masked gradients. "
    "`audit=quick` or `robench audit` judges it."
)


def believe(row: BoardRow) -> str:
    """What to believe of a row's number, and why, in a sentence."""
    why = row.sentence.rstrip(".")
    if row.proof.disputed:
        return f"Do not rely on it yet: {why}, but its records contradict each other."
    if row.proof.found_false:
        return f"Do not believe it: a verification found its record false: {why_not(row)}."
    return f"{OPENINGS[row.word]}: {why}{_by_attacks(row)}; {PROVEN[row.proof.level]}."


def why_not(row: BoardRow) -> str:
    """The steps of verifications that found something false."""
    return "; ".join(f"{one.name}, {one.text.rstrip('.')}" for one in row.proof.found_false)


def _by_attacks(row: BoardRow) -> str:
    """How much less is known to hold than the run's own attacks left, from a point on."""
    if row.radius is not None or row.headline is None or row.threat is None:
        return ""
    at = {"norm": row.threat.norm, "eps": row.threat.eps}
    for column, cell in row.cells.items():
        if column.metric == "worst_case_accuracy" and dict(column.axes).items() >= at.items():
            gained = (cell.value or 0.0) - row.score
            if gained >= LEAST / 100:
                points = number(gained, "share")
                return f", and the audit took {points} points more than the run's own attacks"
    return ""


def warnings(row: BoardRow, record: Record) -> Iterator[str]:
    """What a reader must know before any number of the row."""
    if row.subset:
        yield f"{_sentence(row.subset)} On the other images the rows alone speak."
    if row.proof.disputed:
        yield DISPUTED
    if row.proof.found_false:
        yield f"A verification found the record false: {why_not(row)}."
    for one in row.proof.breaks:
        moved = "" if one.counts else " Nobody verified these examples, so no number has moved."
        under = f"{_threat(one.norm, one.eps)} ({one.date})"
        yield f"{broken_by(one)} of the worst case under {under}.{moved}"
    if row.proof.refuted and record.certificates:
        images = ", ".join(str(one.image) for one in record.certificates.broken)
        yield (
            f"{_sentence(row.proof.refuted)[:-1]}: {images}. {record.certificates.sentence} "
            "No certified number of this row stands."
        )
    if record.status == "at_chance":
        yield AT_CHANCE
    if row.word != "upper_bound" and (of_twin := _of_twin(record.agreement)):
        yield of_twin
    for failed in record.rows:
        if failed.status == "invalid":
            access = failed.access.replace("_", " ")
            yield f"{failed.attack} ({access}) is invalid, not robust: {failed.message}"


def _of_twin(agreement: TwinAgreement) -> str:
    if agreement.imperfect:
        return IMPERFECT
    if agreement.flagged:
        return (
            "The differentiable twin agrees with the deployed model on only "
            f"{_least(agreement)} of the images: gradients of the twin may mislead the attacks."
        )
    return ""


def agreement(agreement: TwinAgreement) -> str:
    """How well the twin computes what ships."""
    gap = agreement.logit_gap
    logits = "" if gap is None else f", their logits differ by at most {short(gap)}"
    labels = f"{_least(agreement)} of {agreement.n:,} images"
    return f"Twin and deployed model give equal labels on {labels}{logits}."


def _least(agreement: TwinAgreement) -> str:
    """The smaller share of equal labels, before and after defenses wrap the two."""
    shares = (agreement.equal_labels, agreement.after_deploy)
    return _percent(min(share for share in shares if share is not None))


def cost(one: AttackRow, images: int) -> str:
    """What an attack cost an image, and whether a better one beats it."""
    counted = ""
    if one.gradients is not None:
        counted = f"{_counted(one.gradients, 'gradient', 'gradients')}, "
        counted += f"{_counted(one.queries or 0, 'query', 'queries')} and "
    seconds = f"{short(one.seconds / images)} s an image"
    if one.weaker is None:
        return counted + seconds
    left = f"{number(one.weaker.points, 'share')} points"
    ends = interval(one.weaker.low, one.weaker.high, "share")
    return f"{counted}{seconds}; leaves {left} ({ends}) more than {one.weaker.than}: a weak attack"


# -- the shipped file ------------------------------------------------------------------------------


def file_facts(file: FileInfo, agreement: TwinAgreement) -> list[tuple[str, str]]:
    """The file that was judged, as terms and texts; digests under `sha256` and `float parent`."""
    told = [
        ("format", f"{one_line(file.format)}, {file.bytes:,} bytes"),
        ("weights", f"{file.bits} bits" if file.bits else "not read" if file.black_box else ""),
        ("sha256", file.sha256),
        ("runtime", f"{one_line(file.runtime)} {one_line(file.version)}"),
        ("provider", one_line(file.provider)),
        ("instruction set", one_line(file.instructions)),
        ("float parent", file.parent),
        ("twin", f"none, a black box: {one_line(file.black_box)}" if file.black_box else ""),
        ("twin", _twin(agreement)),
    ]
    return [(term, text) for term, text in told if text]


def _twin(agreement: TwinAgreement) -> str:
    if agreement.adversarial is None:
        return ""
    kind = "a surrogate" if agreement.surrogate else "of the file"
    clean = f"{_percent(agreement.equal_labels)} of {agreement.n:,} clean images"
    attacked = f"{_percent(agreement.adversarial)} of {agreement.adversarial_n:,} attacked ones"
    itself = ""
    if agreement.spread is not None:
        itself = (
            f"; the file with itself, run otherwise, on {number(agreement.spread, 'share')} "
            f"and {_percent(agreement.adversarial_spread)}"
        )
    return f"{kind}: equal labels on {clean} and on {attacked}{itself}"


# -- audits ----------------------------------------------------------------------------------------


def audits(row: BoardRow, record: Record) -> Iterator[dict[str, Any]]:
    """What each audit found; its word is that of what holds under the threat, or `not done`."""
    words = {
        (column.axis("norm"), column.axis("eps")): cell.word
        for column, cell in row.cells.items()
        if column.metric == "robust"
    }
    for audit in record.audit:
        missing = row.proof.audit_missing
        nothing = missing and audit.verdict == "pass"
        word = words.get((audit.norm, audit.eps), "not_audited")
        yield {
            "threat": _threat(audit.norm, audit.eps),
            "word": "not done" if nothing else word,
            "missing": NO_TABLE if missing else "",
            "about": _about(audit),
            "findings": [_finding(one) for one in audit.findings],
            "weak": _weak(audit.weak_attacks),
        }


def _about(audit: Audit) -> str:
    seconds = "" if audit.seconds is None else f", {short(audit.seconds)} s"
    return f"Level {audit.level}, checks on {audit.n} images{seconds}."


def _finding(one: Finding) -> tuple[str, str, str]:
    """Its verdict, its check, and what it says."""
    measured = ""
    if one.value is not None:
        above = "" if one.threshold is None else f", threshold {short(one.threshold)}"
        measured = f" ({short(one.value)}{above})"
    return one.verdict, one.check.replace("_", " "), f"{measured}: {spoken(one)}"


def _weak(attacks: tuple[WeakAttack, ...]) -> str:
    if not attacks:
        return ""
    each = "; ".join(map(_overstates, attacks))
    return f"{each}: the audit broke images that it left standing."


def _overstates(weak: WeakAttack) -> str:
    access = f" ({weak.access})" if weak.access in ("transfer", "parent") else ""
    ends = interval(weak.low, weak.high, "share")
    points = f"{number(weak.gained, 'share')} points ({ends})"
    return f"{weak.attack}{access} overstates robustness by {points}"


def unaudited(row: BoardRow, record: Record) -> str:
    """Why a row has no audit, what is typed between backticks; nothing where it has one."""
    if record.audit:
        return ""
    if record.certificates:
        told = "There are no attack rows to audit. The audit attacked the certificates: "
        return told + record.certificates.sentence
    if row.file and row.file.black_box:
        return (
            "Not measurable: the file has no gradients that could be misleading. "
            "Its numbers are upper bounds."
        )
    return NOT_AUDITED


# -- words -----------------------------------------------------------------------------------------


def _counted(mean: float, one: str, many: str) -> str:
    text = f"{mean:,.0f}"
    return f"{text} {one if text == '1' else many}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _percent(share: float | None) -> str:
    return f"{number(share, 'share')}\N{NO-BREAK SPACE}%"


def _threat(norm: str, eps: float) -> str:
    return f"{NORM_NAMES.get(norm, norm)} {eps_text(eps)}"
