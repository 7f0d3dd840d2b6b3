"""What a person reads of a record: its title, tables, verdicts and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from robench.base.text import visible
from robench.cli.terminal import ROW, Shown, console, join, print_line, print_text, styled, table
from robench.core.record import AttackRow, Audit, Axis, Record, Value

ATTACK_METRICS = (
    "clean_accuracy",
    "attacked_accuracy",
    "robust_accuracy",
    "worst_case_accuracy",
    "audited_accuracy",
    "gained_by_masking",
)
"""Metrics of the attack table; the others stand below it."""

COLOURS = {"pass": "green", "suspect": "yellow", "fail": "red"}
MEANING = {
    "pass": "no sign of masked gradients",
    "suspect": "signs of masked gradients",
    "fail": "gradients are masked: the naive numbers do not mean robustness",
}


def print_record(record: Record, folder: Path, *, json: bool = False) -> None:
    """Print a record's title, tables, verdicts, warnings and folder, or its JSON."""
    if json:
        print(visible(record.model_dump_json(indent=1)))
        return
    out = console()
    print_text(title(record), "bold")
    out.print(_attack_table(record))
    other = [v for v in record.values if v.metric not in ATTACK_METRICS]
    if other:
        out.print(_value_table(other))
    for name, note in record.notes.items():
        out.print(_note_table(name, note))
    for colour, line in audit_lines(record):
        print_text(line, colour)
    for warning in warnings(record):
        print_text(warning, "yellow")
    print_line(f"record: {folder}")


def title(record: Record) -> str:
    """One line that names the evaluated model."""
    chosen = {kind: "+".join(record.config[kind]) for kind in ("model", "defense", "compressor")}
    parts = " ".join(f"{kind}={name}" for kind, name in chosen.items())
    return f"{record.data.name}, {record.data.images} test images: {parts}, seed {record.seed}"


def warnings(record: Record) -> list[str]:
    """Everything a reader must know before believing the numbers."""
    found = [
        f"{row.attack} ({row.access}) is invalid, not robust: {row.message}"
        for row in record.rows
        if row.status == "invalid"
    ]
    found += [
        f"{row.attack} ({row.access}, {row.norm} {_number(row.eps)}) leaves "
        f"{100 * row.weaker.points:.1f} [{100 * row.weaker.low:.1f}, {100 * row.weaker.high:.1f}] "
        f"points more than {row.weaker.than} on the same images: a weak attack"
        for row in record.rows
        if row.weaker
    ]
    if record.certificates and record.certificates.broken:
        found.append(record.certificates.sentence)
    if record.status == "at_chance":
        found.append("the model is at chance: nothing about its robustness can be claimed")
    if record.agreement.flagged:
        shares = (record.agreement.equal_labels, record.agreement.after_deploy)
        share = min(share for share in shares if share is not None)
        found.append(f"the twin agrees with the deployed model on only {share:.1%} of the images")
    return found


def percent(value: Value | None) -> Text:
    """A share with its interval, in percent."""
    if value is None or value.value is None:
        return styled("-")
    share = f"{value.value:.1%}"
    if value.low is None or value.high is None:
        return styled(share)
    return join(share, styled(f"[{100 * value.low:.1f}, {100 * value.high:.1f}]", "dim"))


def _attack_table(record: Record) -> Shown:
    """Rows and worst cases under the clean accuracy; audits and certificates only where made."""
    certified = {v.axes.get("radius"): v for v in record.values if v.metric == "certified_accuracy"}
    audits, certificates = bool(record.audit), bool(certified)
    names = ["attacked accuracy", "robust accuracy"]
    names += ["audited accuracy"] * audits + ["certified accuracy"] * certificates
    shown = table(
        *ROW,
        numbers=(*names, "seconds"),
        caption=f"shares of images with Wilson 95 % intervals; eps in [0,1] pixels{_spent(record)}",
    )
    clean = percent(record.find("clean_accuracy"))
    shares = [clean] * (2 + audits) + [percent(certified.get(0.0))] * certificates
    shown.add_row("clean", "", "", "", *shares, "")
    for value in record.values:
        if value.metric in ("robust_accuracy", "worst_case_accuracy"):
            axes = value.axes
            shares = [percent(record.find("attacked_accuracy", **axes)), percent(value)]
            shares += [percent(_audited(record, axes))] * audits
            eps = axes.get("eps")
            radius = eps if axes.get("norm") == "l2" else None
            shares += [percent(certified.get(radius))] * certificates
            words = "no limit" if eps is None else _number(eps)
            shown.add_row(*_row(axes), words, *shares, _seconds(record, axes))
    for row in record.rows:
        if row.status == "invalid":
            eps = "" if row.eps is None else _number(row.eps)
            shown.add_row(row.attack, row.access, row.norm, eps, *["invalid"] * 2)
    return shown


def _row(axes: dict[str, Axis]) -> tuple[str, ...]:
    return tuple(str(axes.get(name, "")) for name in ("attack", "access", "norm"))


def _number(value: Axis) -> str:
    """A number in few digits; a record may hold words in its place."""
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _seconds(record: Record, axes: dict[str, Axis]) -> str:
    """What the search of a row took; nothing for a worst case, which is no search."""
    for row in record.rows:
        if all(getattr(row, name) == axes.get(name) for name in ROW):
            return f"{row.seconds:.1f}"
    return ""


def _spent(record: Record) -> str:
    """Gradients and queries of each attack, from the cheapest of its rows to the dearest.

    Nothing for a record older than the counts.
    """
    if all(row.queries is None for row in record.rows):
        return ""
    found: dict[str, list[AttackRow]] = {}
    for row in record.rows:
        if row.status != "invalid":
            usual = row.access in ("white_box", "none")
            name = row.attack if usual else f"{row.attack} ({row.access})"
            found.setdefault(name, []).append(row)
    costs = (f"{name} {_cost(rows)}" for name, rows in found.items())
    return f"; gradients + queries an image: {', '.join(costs)}" if found else ""


def _cost(rows: list[AttackRow]) -> str:
    gradients = [row.gradients for row in rows if row.gradients is not None]
    queries = [row.queries for row in rows if row.queries is not None]
    if not gradients or not queries:
        return "not counted"
    some = " (not all counted)" if len(queries) < len(rows) else ""
    return f"{_range(gradients)} + {_range(queries)}{some}"


def _range(numbers: list[float]) -> str:
    return "-".join(dict.fromkeys(f"{end(numbers):,.0f}" for end in (min, max)))


def _audited(record: Record, axes: dict[str, Axis]) -> Value | None:
    """The audited accuracy of a row's threat; noise rows have no threat to audit."""
    if axes.get("access") == "none":
        return None
    return record.find("audited_accuracy", norm=axes.get("norm"), eps=axes.get("eps"))


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


def audit_lines(record: Record) -> Iterator[tuple[str, str]]:
    """A colour and a line for each verdict, each reason and each weak attack."""
    for audit in record.audit:
        yield COLOURS[audit.verdict], f"{_name(audit)}: {audit.verdict}, {MEANING[audit.verdict]}"
        for finding in audit.findings:
            if finding.verdict != "pass":
                yield COLOURS[finding.verdict], f"  {finding.verdict}: {finding.sentence}"
        for weak in audit.weak_attacks:
            interval = f"[{100 * weak.low:.1f}, {100 * weak.high:.1f}]"
            missed = (
                "" if weak.missed is None else f", misses {weak.missed:.0%} of planted examples"
            )
            yield (
                "yellow",
                f"  weak attack: {weak.attack} ({weak.access}) leaves {100 * weak.gained:.1f} "
                f"{interval} points more than the audit{missed}",
            )


def _name(audit: Audit) -> str:
    return f"audit ({audit.level}, {audit.norm} {audit.eps:.4g}, {audit.n} images)"
