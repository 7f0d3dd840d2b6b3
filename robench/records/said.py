"""What is said of a record in words: of its file, threats and certificates, and what warns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.grid import fold
from robench.base.stats import newcombe_unpaired, paired
from robench.base.text import one_line, true_minus, visible
from robench.core.outcomes import Score, scores_by_threat
from robench.core.record import AGREEMENT_GOOD, ENDING, AttackRow, Audit, Axis, Record
from robench.core.sentences import spoken
from robench.core.threat import eps_text
from robench.records.headline import headlines
from robench.records.support.held import CHECKED
from robench.records.support.values import TIES
from robench.records.words import Word, called, no_claim, unled, word_of_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.outcomes import Outcomes

    Table = Mapping[str, NDArray[Any]]

COLOURS: dict[Word, str] = {
    "holds": "green",
    "weak": "yellow",
    "suspect": "yellow",
    "upper_bound": "yellow",
    "not_audited": "yellow",
    "masked": "red",
    "broken": "red",
    "invalid": "red",
    "at_chance": "red",
}

NEAR = 0.005
"""How far beyond the interval of a clean accuracy the published one may lie."""


ENDINGS = ("softmax", "log_softmax", "sigmoid")
WEAK = "weak attack: "
"""How the sentence of a weak row begins, which its line says once."""


@dataclass(frozen=True)
class Line:
    """A line for people: its text, and a style such as bold, dim, green or red."""

    text: str
    style: str = ""


def plain(text: str) -> str:
    """A text on one line, what moves a terminal written out: a grid counts letters."""
    return one_line(visible(text))


def folded(lines: Iterable[Line], width: int | None) -> Iterator[Line]:
    """Lines of prose, continued two letters further in."""
    for line in lines:
        indent = "  " if line.text.startswith("  ") else ""
        for number, text in enumerate(fold(true_minus(plain(line.text)), width)):
            yield Line(f"{indent}{'  ' if number else ''}{text}", line.style)


def named(attack: Axis, access: Axis) -> str:
    """An attack's name, with its access where that is not the usual one."""
    name = str(attack).replace("worst_case", "worst case")
    return name if access in ("white_box", "none", "any") else f"{name} ({access})"


def threat_text(norm: Axis, eps: Axis) -> str:
    """A threat in words: linf 8/255; a record may hold words in place of a number."""
    if eps is None:
        return f"{norm} no limit"
    return f"{norm} {eps_text(eps) if isinstance(eps, int | float) else eps}"


def file_lines(record: Record) -> Iterator[str]:
    """The judged file, what ran it, and how well its twin computes it; nothing without a file."""
    file, agreement = record.file, record.agreement
    if file is None:
        return
    ran = f"{file.runtime} {file.version}".strip()
    where = ", ".join(part for part in (file.provider, file.instructions) if part)
    yield (
        f"file: {file.format}, {file.bytes:,} bytes, sha256 {file.sha256[:16]}, run by {ran}"
        + (f" ({where})" if where else "")
    )
    if file.black_box:
        yield f"twin: none, a black box: {file.black_box}"
    elif agreement.adversarial is not None:
        kind = "a surrogate" if agreement.surrogate else "of the file"
        yield (
            f"twin: {kind}, equal labels on {_beside(agreement.equal_labels, agreement.spread)} of "
            f"{agreement.n} clean images, and on "
            f"{_beside(agreement.adversarial, agreement.adversarial_spread)} of "
            f"{agreement.adversarial_n} attacked ones"
            + ("" if agreement.explained is None else f"; {agreement.explained:.2%} of the logits")
        )
    if ties := record.get(TIES):
        yield f"ties: the largest logits are equal on {ties.value or 0:.1%} of the clean images"


def _beside(equal: float, spread: float | None) -> str:
    """A share of equal labels, beside what the file shares with itself, run otherwise."""
    return f"{equal:.2%}" + ("" if spread is None else f" (the file with itself {spread:.2%})")


def warnings(record: Record, outcomes: Outcomes | None = None) -> list[str]:
    """Everything a reader must know before believing the numbers."""
    found = [
        f"{row.attack} ({row.access}) is invalid, not robust: {row.message}"
        for row in record.rows
        if row.status == "invalid"
    ]
    if record.certificates and record.certificates.broken:
        found.append(record.certificates.sentence)
    said = outcomes is not None and scores_by_threat(outcomes, record.budgets())
    if record.status == "at_chance" and not said:
        why = "the model is at chance" if outcomes is None else no_claim(outcomes.clean.label)
        found.append(f"{why}: nothing about its robustness can be claimed")
    if (ending := record.notes.get(ENDING)) in ENDINGS:
        found.append(
            f"expected a network that gives logits, got one that ends in a {ending}: its gradients "
            "fade where it is sure, and attacks that follow them look weaker than they are; leave "
            f"the {ending} out, the labels stay the same"
        )
    if why := unled(record):
        found.append(why)
    elif record.agreement.imperfect:
        found.append(
            f"the twin agrees with the file on fewer than {AGREEMENT_GOOD:.1%} of the images, "
            "clean or attacked: what it fails to break, the file may not stand"
        )
    elif record.agreement.flagged:
        shares = (record.agreement.equal_labels, record.agreement.after_deploy)
        share = min(share for share in shares if share is not None)
        found.append(f"the twin agrees with the deployed model on only {share:.1%} of the images")
    return [*found, *_without_gradients(record), *_unlike_published(record)]


def _without_gradients(record: Record) -> Iterator[str]:
    """What is said of white-box attacks that left images and met no gradient; of a black box, which
    has none, it is said already, and an older record does not tell which attacks want one."""
    if record.queries_only is None or (record.file and record.file.black_box):
        return
    led = [row for row in record.rows if row.access == "white_box" and row.status == "ok"]
    names = dict.fromkeys(
        row.attack
        for row in led
        if row.gradients == 0 and row.attack not in record.queries_only and _left(record, row)
    )
    if names:
        yield (
            f"{', '.join(names)} got no gradient of the network: where it stops them, as a detach "
            "or an argmax does, what is left is no robustness; audit=quick tells"
        )


def _left(record: Record, row: AttackRow) -> bool:
    """Whether images stand a row."""
    axes = {"attack": row.attack, "access": row.access, "norm": row.norm}
    same = record.find_all("robust_accuracy", **axes)
    return any(value.value for value in same if row.eps in (None, value.axes.get("eps")))


def _unlike_published(record: Record) -> Iterator[str]:
    """What is said of a network, judged as it was published, whose clean accuracy is another."""
    note, clean = record.notes.get("published"), record.get("clean_accuracy")
    as_it_was = {*record.config["defense"], *record.config["compressor"]} == {"none"}
    first = note[0] if isinstance(note, list) and note and isinstance(note[0], dict) else {}
    told = first.get("clean_accuracy")
    if not (as_it_was and isinstance(told, float) and clean and clean.value is not None):
        return
    low, high = (clean.value if end is None else end for end in (clean.low, clean.high))
    if not low - NEAR <= told <= high + NEAR:
        yield (
            f"expected about the published clean accuracy of {told:.1%}, got {clean.value:.1%}: "
            "check that these are the published weights and the data they were trained for"
        )


def verdicts(record: Record, outcomes: Outcomes, table: Table | None) -> Iterator[Line]:
    """What each threat's number is worth: threats of which the same is said share a line."""
    known, heads = (
        scores_by_threat(outcomes, record.budgets()),
        headlines(record, outcomes, [table]),
    )
    said: dict[tuple[Word, str], list[str]] = {}
    weak: dict[str, list[str]] = {}
    for (norm, eps), scores in known.items():
        head, threat = heads[norm, eps], threat_text(norm, eps)
        said.setdefault((head.said.word, head.said.sentence), []).append(threat)
        for score in scores:
            row = _row_of(record, score)
            own = row and word_of_row(record, row, score, head.holds)
            if own and own.word == "weak":
                name = named(score.attack, score.access)
                sentence = own.sentence.removeprefix(WEAK)
                weak.setdefault(name, []).append(f"{sentence} at {threat}")
    for (kind, sentence), threats in said.items():
        yield Line(f"{called(kind)} at {', '.join(threats)}: {sentence}", COLOURS[kind])
    yield from audits(record, known, table)
    for name, points in weak.items():
        yield Line(f"weak attack: {name} {', '.join(points)}", COLOURS["weak"])


def audits(
    record: Record, known: Mapping[tuple[str, float], Sequence[Score]], table: Table | None
) -> Iterator[Line]:
    """What the audits looked at and took, and why they are not satisfied, merged where equal."""
    looked: dict[str, list[Audit]] = {}
    for audit in record.audit:
        looked.setdefault(_looked(record, audit), []).append(audit)
    for where, same in looked.items():
        seconds = sum(audit.seconds or 0.0 for audit in same)
        took = f", {seconds:,.0f} s" if seconds else ""
        threats = ", ".join(threat_text(audit.norm, audit.eps) for audit in same)
        yield Line(f"audit: {where}{took}: {threats}", "dim")
        met = [audit for audit in same if _met(record, audit) < record.data.images]
        if met:
            yield Line(f"  {_on_some(met, known, table)}", "yellow")
        elif table is not None:
            yield from (
                Line(f"  {line}", "yellow") for audit in same if (line := _aside(audit, table))
            )
    found: dict[tuple[str, str], list[str]] = {}
    for audit in record.audit:
        for finding in audit.findings:
            if finding.verdict != "pass":
                threat = threat_text(audit.norm, audit.eps)
                found.setdefault((finding.verdict, spoken(finding)), []).append(threat)
    for (verdict, sentence), at in found.items():
        colour = COLOURS["masked" if verdict == "fail" else "suspect"]
        yield Line(f"  {verdict} at {', '.join(at)}: {sentence}", colour)


def findings(record: Record) -> Iterator[Line]:
    """Every check's sentence, threat by threat."""
    for audit in record.audit:
        yield Line(f"audit under {threat_text(audit.norm, audit.eps)}: {audit.verdict}", "bold")
        for finding in audit.findings:
            colour = {"pass": "", "suspect": "yellow", "fail": "red"}[finding.verdict]
            yield Line(f"{finding.verdict}: {spoken(finding)}", colour)


def _met(record: Record, audit: Audit) -> int:
    """How many images an audit says something of."""
    said = record.get("audited_accuracy", norm=audit.norm, eps=audit.eps)
    return said.n if said and said.n else audit.n


def _looked(record: Record, audit: Audit) -> str:
    n = _met(record, audit)
    some = f" of {record.data.images}" if n < record.data.images else ""
    where = f"{n}{some} images" + ("" if n == audit.n else f", its checks on {audit.n}")
    return f"{audit.level}, on {where}"


def _on_some(
    audits: Sequence[Audit],
    known: Mapping[tuple[str, float], Sequence[Score]],
    table: Table | None,
) -> str:
    """By how much audits of some of the images say less than the rows do, on these."""
    if table is None:
        return "the other images are known by the rows alone"
    less = []
    for audit in audits:
        scores = known.get((audit.norm, audit.eps), ())
        mine = (table["norm"] == audit.norm) & (table["eps"] == audit.eps)
        if not scores or not mine.any():
            continue
        rows = np.logical_and.reduce([score.right for score in scores])[table["position"][mine]]
        pair = paired(rows, table["held"][mine].astype(bool))
        interval = f"[{100 * pair.low:.1f}, {100 * pair.high:.1f}]"
        threat = threat_text(audit.norm, audit.eps)
        less.append(f"{threat}: {100 * pair.difference:.1f} {interval}")
    return (
        f"points that it takes from these beyond the rows: {', '.join(less)}; the other images are "
        "known by the rows alone"
    )


def _aside(audit: Audit, table: Table) -> str:
    """Says where the checks broke surely more than the strongest search on the other images."""
    mine = (table["norm"] == audit.norm) & (table["eps"] == audit.eps)
    checked, held = table[CHECKED][mine], table["held"][mine]
    looked, others = held[checked], held[~checked]
    if len(others) == 0:
        return ""
    counts = (int(others.sum()), len(others)), (int(looked.sum()), len(looked))
    if newcombe_unpaired(*counts[0], *counts[1])[0] <= 0:
        return ""
    return (
        f"of the {len(looked)} images that the checks searched {looked.mean():.1%} hold, of the "
        f"others {others.mean():.1%}: the same searches would break more of these"
    )


def _row_of(record: Record, score: Score) -> AttackRow | None:
    """The row that a score is of: a minimum-norm row has one at each budget."""
    for row in record.rows:
        same = (row.attack, row.access, row.norm) == (score.attack, score.access, score.norm)
        if same and row.eps in (score.eps, None):
            return row
    return None


def certified(record: Record) -> Iterator[Line]:
    """What is certified, and the attack on the certificates."""
    found = [v for v in record.values if v.metric == "certified_accuracy" and v.value is not None]
    if not found:
        return
    shares = [f"{v.value:.1%} at {v.axes.get('radius')}" for v in found]
    nothing = next((at for at, v in enumerate(found) if v.value == 0), len(found)) + 1
    if nothing < len(found):
        shares = [*shares[:nothing], "and beyond"]
    audit = record.certificates
    refuted = audit is not None and audit.refuted
    words = "certificates refuted, claimed" if refuted else "certified"
    text = f"{words} in l2: {', '.join(shares)}"
    yield Line(text, "red" if refuted else "")
    if audit is not None and not audit.broken:
        yield Line(f"  audit: {audit.sentence}", "dim")
