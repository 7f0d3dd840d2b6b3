"""What a person reads of a record: its title, tables, verdicts and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from robench.base.stats import newcombe_unpaired
from robench.base.text import one_line, visible
from robench.cli.terminal import Shown, console, join, print_line, print_text, styled, table
from robench.core.outcomes import Outcomes, Score, scores_by_threat
from robench.core.record import AGREEMENT_GOOD, AttackRow, Audit, Axis, Record, Value, share
from robench.core.sentences import spoken
from robench.records.compare import budgets
from robench.records.headline import audit_table, headline
from robench.records.protocol import NO_ACCESS
from robench.records.protocols import GROUP
from robench.records.store import read_outcomes
from robench.records.support.files import telling
from robench.records.support.held import CHECKED
from robench.records.support.values import TIES
from robench.records.words import Word, unled, word_of, word_of_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

ATTACK_METRICS = (
    "clean_accuracy",
    "attacked_accuracy",
    "robust_accuracy",
    "worst_case_accuracy",
    "audited_accuracy",
    "gained_by_masking",
)
"""Metrics of the headlines and the attack table; the others stand below these."""

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


def print_record(record: Record, folder: Path, *, json: bool = False) -> None:
    """Print a record's title, tables, headlines, warnings and folder, or its JSON.

    Raises UserError where its outcomes cannot be read.
    """
    if json:
        print(visible(record.model_dump_json(indent=1)))
        return
    out, outcomes = console(), read_outcomes(folder)
    print_text(title(record), "bold")
    for line in file_lines(record):
        print_text(line)
    out.print(_attack_table(record))
    for colour, line in headlines(record, outcomes, audit_table(folder)):
        print_text(line, colour)
    for colour, line in certified_lines(record):
        print_text(line, colour)
    other = [v for v in telling(record.values) if v.metric not in ATTACK_METRICS]
    if other:
        out.print(_value_table(other))
    for name, note in record.notes.items():
        out.print(_note_table(name, note))
    for warning in warnings(record):
        print_text(warning, "yellow")
    print_line(f"record: {folder}")


def title(record: Record) -> str:
    """One line that names the evaluated model."""
    chosen = {kind: "+".join(record.config[kind]) for kind in ("model", "defense", "compressor")}
    parts = " ".join(f"{kind}={name}" for kind, name in chosen.items())
    named = record.config.get(GROUP)
    said = (
        [one_line(named.get(part)) for part in ("name", "version")]
        if isinstance(named, dict)
        else []
    )
    under = f", protocol {' version '.join(said)}" if said else ""
    judged = f"{record.data.name}, {record.data.images} test images"
    return f"{judged}: {parts}, seed {record.seed}{under}"


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
    if ties := record.find(TIES):
        yield f"ties: the largest logits are equal on {percent(ties).plain} of the clean images"


def _beside(equal: float, spread: float | None) -> str:
    """A share of equal labels, beside what the file shares with itself, run otherwise."""
    return f"{equal:.2%}" + ("" if spread is None else f" (the file with itself {spread:.2%})")


def warnings(record: Record) -> list[str]:
    """Everything a reader must know before believing the numbers."""
    found = [
        f"{row.attack} ({row.access}) is invalid, not robust: {row.message}"
        for row in record.rows
        if row.status == "invalid"
    ]
    if record.certificates and record.certificates.broken:
        found.append(record.certificates.sentence)
    if record.status == "at_chance":
        found.append("the model is at chance: nothing about its robustness can be claimed")
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
    return [*found, *_unlike_published(record)]


def _unlike_published(record: Record) -> Iterator[str]:
    """What is said of a network, judged as it was published, whose clean accuracy is another."""
    note, clean = record.notes.get("published"), record.find("clean_accuracy")
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


def percent(value: Value | None) -> Text:
    """A share with its interval, in percent."""
    if value is None or value.value is None:
        return styled("-")
    share = f"{value.value:.1%}"
    if value.low is None or value.high is None:
        return styled(share)
    return join(share, styled(f"[{100 * value.low:.1f}, {100 * value.high:.1f}]", "dim"))


def headlines(
    record: Record, outcomes: Outcomes, table: Mapping[str, NDArray[Any]] | None
) -> Iterator[tuple[str, str]]:
    """A colour and a line for each threat, each reason of its audit and each row with a word."""
    labels, known = outcomes.clean.label, scores_by_threat(outcomes, budgets(record))
    for (norm, eps), scores in known.items():
        holds = headline(record, outcomes, table, norm, eps)
        said = word_of(record, labels, norm, eps, holds)
        number = percent(share("headline", int(holds.sum()), len(holds), {})).plain
        certified = record.find("certified_accuracy", radius=eps) if norm == "l2" else None
        proven = f", {percent(certified).plain} certified" if certified else ""
        word = said.word.replace("_", " ")
        line = f"{norm} {_number(eps)}: {word}, {number} of {len(holds)} images{proven}"
        yield COLOURS[said.word], f"{line}; {said.sentence}"
        for audit in record.audit:
            if (audit.norm, audit.eps) == (norm, eps):
                yield from _audit_lines(record, audit, scores, table)
        for score in scores:
            row = _row_of(record, score)
            weak = row and word_of_row(record, row, score, holds)
            if weak and weak.word == "weak":
                yield COLOURS["weak"], f"  {_attack(score.attack, score.access)}: {weak.sentence}"


def certified_lines(record: Record) -> Iterator[tuple[str, str]]:
    """A colour and a line for what is certified, and for the attack on the certificates."""
    found = [v for v in record.values if v.metric == "certified_accuracy" and v.value is not None]
    if not found:
        return
    shares = (f"{v.value:.1%} at {_number(v.axes.get('radius'))}" for v in found)
    audit = record.certificates
    refuted = audit is not None and audit.refuted
    words = "certificates refuted, claimed" if refuted else "certified"
    yield "red" if refuted else "", f"l2 {words}: {', '.join(shares)}"
    if audit is not None and not audit.broken:
        yield "dim", f"  audit: {audit.sentence}"


def _audit_lines(
    record: Record,
    audit: Audit,
    scores: Sequence[Score],
    table: Mapping[str, NDArray[Any]] | None,
) -> Iterator[tuple[str, str]]:
    """What an audit looked at and took, and why it is not satisfied."""
    seconds = "" if audit.seconds is None else f", {_seconds(audit.seconds)} s"
    said = record.find("audited_accuracy", norm=audit.norm, eps=audit.eps)
    n = said.n if said and said.n else audit.n
    where = f"{n} images" if n == audit.n else f"{n} images, its checks on {audit.n}"
    yield "dim", f"  audit: {audit.level}, on {where}{seconds}"
    if said and said.value is not None and n < record.data.images:
        yield "yellow", f"  {_on_some(said.value, audit, scores, table)}"
    elif table is not None and (line := _aside(audit, table)):
        yield "yellow", f"  {line}"
    for finding in audit.findings:
        if finding.verdict != "pass":
            colour = COLOURS["masked" if finding.verdict == "fail" else "suspect"]
            yield colour, f"  {finding.verdict}: {spoken(finding)}"


def _on_some(
    audited: float,
    audit: Audit,
    scores: Sequence[Score],
    table: Mapping[str, NDArray[Any]] | None,
) -> str:
    """By how much an audit of some of the images says less than the rows do, on these."""
    start = f"the audit met {audit.n} of the images, of which {audited:.1%} hold"
    if table is None:
        return f"{start}; the others are known by the rows alone"
    mine = (table["norm"] == audit.norm) & (table["eps"] == audit.eps)
    at = table["position"][mine]
    rows = np.logical_and.reduce([score.right for score in scores])[at].mean()
    return (
        f"{start}: {100 * (rows - audited):.1f} points fewer than under the rows alone, by which "
        "the others are known"
    )


def _aside(audit: Audit, table: Mapping[str, NDArray[Any]]) -> str:
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


def _attack_table(record: Record) -> Shown:
    """Rows, and worst cases of several rows, under the clean accuracy, with what they cost."""
    found = [v for v in record.values if v.metric == "robust_accuracy"]
    threats = [(v.axes.get("norm"), v.axes.get("eps")) for v in found]
    found += [
        value
        for value in record.values
        if value.metric == "worst_case_accuracy"
        and threats.count((value.axes.get("norm"), value.axes.get("eps"))) > 1
    ]
    attacked = {id(v): record.find("attacked_accuracy", **v.axes) for v in found}
    # Where no search righted a wrong image, both accuracies are one.
    both = any(
        v and v.value != one.value and one.axes.get("access") != NO_ACCESS
        for one in found
        if (v := attacked[id(one)])
    )
    shown = table(
        "attack",
        "threat",
        numbers=(*(["attacked"] * both), "robust accuracy", "gradients", "queries", "seconds"),
        narrow=True,
        caption="shares of images with Wilson 95 % intervals; eps in [0,1] pixels; gradients, "
        "queries and seconds an image",
    )
    clean = percent(record.find("clean_accuracy"))
    shown.add_row("clean", "", *([""] * both), clean, "", "", "")
    for value in found:
        other = attacked[id(value)]
        share = f"{other.value:.1%}" if other and other.value is not None else ""
        name, threat = _attack(value.axes.get("attack"), value.axes.get("access")), _threat(value)
        cost = _cost(record, value.axes)
        shown.add_row(name, threat, *([share] * both), percent(value), *cost)
    for row in record.rows:
        if row.status == "invalid":
            threat = f"{row.norm} {'no limit' if row.eps is None else _number(row.eps)}"
            shown.add_row(_attack(row.attack, row.access), threat, *["invalid"] * (1 + both))
    return shown


def _attack(attack: Axis, access: Axis) -> str:
    """An attack's name, with its access where that is not the usual one."""
    name = str(attack).replace("worst_case", "worst case")
    return name if access in ("white_box", "none", "any") else f"{name} ({access})"


def _threat(value: Value) -> str:
    eps = value.axes.get("eps")
    return f"{value.axes.get('norm', '')} {'no limit' if eps is None else _number(eps)}"


def _number(value: Axis) -> str:
    """A number in few digits; a record may hold words in its place."""
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2g}"


def _cost(record: Record, axes: dict[str, Axis]) -> tuple[str, str, str]:
    """Gradients, queries and seconds an image of a row; nothing for a worst case, no search."""
    for row in record.rows:
        names = all(getattr(row, name) == axes.get(name) for name in ("attack", "access", "norm"))
        if names and row.eps in (axes.get("eps"), None):
            counts = (row.gradients, row.queries)
            gradients, queries = ("-" if one is None else f"{one:,.0f}" for one in counts)
            return gradients, queries, _seconds(row.seconds / record.data.images)
    return "", "", ""


def _value_table(values: Iterable[Value]) -> Shown:
    shown = table("value", "of", numbers=("", "interval"))
    for value in values:
        axes = ", ".join(f"{k} {v}" for k, v in value.axes.items())
        number = "not defined" if value.value is None else f"{value.value:.6g} {value.unit}"
        ends = [value.low, value.high]
        interval = "" if None in ends else " to ".join(map(_number, ends))
        shown.add_row(value.metric, axes, number, interval)
    return shown


def _note_table(name: str, note: Any) -> Shown:
    """What a training reported: a row for each entry of a list, else the value itself."""
    rows = note if isinstance(note, list) and all(isinstance(r, dict) for r in note) else []
    columns = list(rows[0]) if rows else ["value"]
    shown = table("", *columns, title=name)
    for number, row in enumerate(rows or [{"value": note}]):
        shown.add_row(str(number), *(_short(row.get(column)) for column in columns))
    return shown


def _short(value: Any) -> str:
    return " ".join(map(_short, value)) if isinstance(value, list) else str(value)
