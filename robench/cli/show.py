"""What the terminal shows: records, sweeps, comparisons, verifications."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from robench.cli.audit_words import audit_lines
from robench.core.record import Axis, Record, Value

if TYPE_CHECKING:
    from robench.cli.sweep import Job
    from robench.records.compare import Comparison
    from robench.replay.export import Exported
    from robench.replay.verify import Check
    from robench.run.cache import Cache


def console() -> Console:
    """A console on standard output; wide enough for a table when it is no terminal."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=120)


def print_record(record: Record, folder: Path) -> None:
    """Print a record's title, attack table, other values, warnings and path."""
    out = console()
    out.print(f"[bold]{escape(title(record))}[/bold]")
    out.print(_attack_table(record))
    other = [v for v in record.values if v.metric not in ATTACK_METRICS]
    if other:
        out.print(_value_table(other))
    for name, note in record.notes.items():
        out.print(_note_table(name, note))
    for colour, line in audit_lines(record):
        out.print(f"[{colour}]{escape(line)}[/{colour}]")
    for warning in warnings(record):
        out.print(f"[yellow]{escape(warning)}[/yellow]")
    # Paths are for copying: no wrapping, no markup.
    out.print(f"record: {folder}", markup=False, soft_wrap=True)


ATTACK_METRICS = (
    "clean_accuracy",
    "attacked_accuracy",
    "robust_accuracy",
    "worst_case_accuracy",
    "audited_accuracy",
    "gained_by_masking",
)


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
    if record.status == "at_chance":
        found.append("the model is at chance: nothing about its robustness can be claimed")
    if record.agreement.flagged:
        share = record.agreement.equal_labels
        found.append(f"the twin agrees with the deployed model on only {share:.1%} of the images")
    return found


def percent(value: Value | None) -> str:
    """A share with its interval, in percent."""
    if value is None or value.value is None:
        return "-"
    text = f"{value.value:.1%}"
    if value.low is not None and value.high is not None:
        text += f" [dim]\\[{100 * value.low:.1f}, {100 * value.high:.1f}][/dim]"
    return text


def _attack_table(record: Record) -> Table:
    table = Table(caption="shares of images with Wilson 95 % intervals; eps in [0,1] pixels")
    for name in ("attack", "access", "norm", "eps"):
        table.add_column(name)
    audited = bool(record.audit)
    certified = {v.axes["radius"]: v for v in record.values if v.metric == "certified_accuracy"}
    names = ["attacked accuracy", "robust accuracy"] + ["audited accuracy"] * audited
    names += ["certified accuracy"] * bool(certified)
    for name in (*names, "seconds"):
        table.add_column(name, justify="right")
    clean = percent(record.find("clean_accuracy"))
    shares = [clean] * (2 + audited) + [percent(certified.get(0.0))] * bool(certified)
    table.add_row("clean", "", "", "", *shares, "")
    seconds: dict[tuple[object, ...], float] = {
        (r.attack, r.access, r.norm, r.eps): r.seconds for r in record.rows
    }
    for value in record.values:
        if value.metric not in ("robust_accuracy", "worst_case_accuracy"):
            continue
        axes = value.axes
        attacked = record.find("attacked_accuracy", **axes)
        key = tuple(axes[name] for name in ("attack", "access", "norm", "eps"))
        table.add_row(
            str(axes["attack"]),
            str(axes["access"]),
            str(axes["norm"]),
            "no limit" if axes["eps"] is None else f"{axes['eps']:.4g}",
            percent(attacked),
            percent(value),
            *[percent(_audited(record, axes))] * audited,
            *[percent(certified.get(axes["eps"] if axes["norm"] == "l2" else None))]
            * bool(certified),
            f"{seconds[key]:.1f}" if key in seconds else "",
        )
    for row in record.rows:
        if row.status == "invalid":
            eps = "" if row.eps is None else f"{row.eps:.4g}"
            table.add_row(row.attack, row.access, row.norm, eps, *["invalid"] * 2)
    return table


def _audited(record: Record, axes: dict[str, Axis]) -> Value | None:
    """The audited accuracy of a row's threat; noise rows have no threat to audit."""
    if axes["access"] == "none":
        return None
    return record.find("audited_accuracy", norm=axes["norm"], eps=axes["eps"])


def _value_table(values: Iterable[Value]) -> Table:
    table = Table()
    for name in ("value", "of"):
        table.add_column(name)
    for name in ("", "interval"):
        table.add_column(name, justify="right")
    for value in values:
        axes = ", ".join(f"{k} {v}" for k, v in value.axes.items())
        number = "not defined" if value.value is None else f"{value.value:.6g} {value.unit}"
        interval = "" if value.low is None else f"{value.low:.4g} to {value.high:.4g}"
        table.add_row(value.metric, escape(axes), escape(number), interval)
    return table


def _note_table(name: str, note: Any) -> Table:
    """What a training reported: a row for each entry of a list, else the value itself."""
    rows = note if isinstance(note, list) and all(isinstance(r, dict) for r in note) else []
    columns = list(rows[0]) if rows else ["value"]
    table = Table(title=name)
    for column in ("", *columns):
        table.add_column(escape(column))
    for number, row in enumerate(rows or [{"value": note}]):
        table.add_row(str(number), *(escape(_short(row.get(column))) for column in columns))
    return table


def _short(value: Any) -> str:
    return " ".join(map(_short, value)) if isinstance(value, list) else str(value)


def print_sweep(jobs: list[Job]) -> None:
    """Print one line a job: its overrides and its record, or why it failed."""
    out = console()
    table = Table(title=f"{len(jobs)} jobs, {sum(bool(j.error) for j in jobs)} failed")
    table.add_column("job")
    table.add_column("what")
    table.add_column("record or error", overflow="fold")
    for job in jobs:
        end = f"[red]failed: {escape(job.error)}[/red]" if job.error else ""
        end = end or escape(job.record or "planned, not run")
        table.add_row(str(job.number), escape(" ".join(job.overrides)), end)
    out.print(table)


def print_comparison(rows: list[Comparison]) -> None:
    """Print paired differences with their intervals and McNemar p-values."""
    table = Table(caption="first minus second on the same images; 95 % intervals (Newcombe)")
    for name in ("attack", "access", "norm", "eps"):
        table.add_column(name)
    for name in ("first", "second", "difference", "p (McNemar, exact)"):
        table.add_column(name, justify="right")
    for row in rows:
        pair = row.paired
        table.add_row(
            row.attack,
            row.access,
            row.norm,
            "" if row.eps is None else f"{row.eps:.4g}",
            f"{row.first:.1%}",
            f"{row.second:.1%}",
            f"{100 * pair.difference:+.1f} "
            f"[dim]\\[{100 * pair.low:+.1f}, {100 * pair.high:+.1f}][/dim]",
            f"{pair.p_value:.3g}",
        )
    console().print(table)


def print_verification(checks: list[Check]) -> None:
    """Print per row whether its saved examples give the recorded labels again."""
    table = Table()
    for name in ("attack", "access", "eps", "images", "inside the threat", "result"):
        table.add_column(name)
    for check in checks:
        result = "same labels" if check.equal else f"[red]{check.different} labels differ[/red]"
        inside = "yes" if check.legal else "[red]no[/red]"
        eps = "" if check.eps is None else f"{check.eps:.4g}"
        table.add_row(check.attack, check.access, eps, str(check.n), inside, result)
    console().print(table)


def print_export(found: Exported) -> None:
    """Print the file's path, and how far ONNX runtimes agree with the program."""
    out = console()
    out.print(str(found.path), markup=False, soft_wrap=True)
    if found.path.suffix != ".onnx":
        return
    out.print("not bit-exact: runtimes requantise in floats, the integer program does not")
    for runtime, share in found.agreement.items():
        out.print(f"{runtime}: the program's label on {share:.2%} of {found.images:,} images")


def print_cache(cache: Cache) -> None:
    """Print every cached result and the total."""
    table = Table(title=str(cache.root))
    table.add_column("step")
    table.add_column("key")
    table.add_column("MiB", justify="right")
    total = 0
    for entry in cache.entries():
        table.add_row(entry.step, entry.key, f"{entry.nbytes / 2**20:,.2f}")
        total += entry.nbytes
    out = console()
    out.print(table)
    out.print(f"{total / 2**20:,.1f} MiB in all")
