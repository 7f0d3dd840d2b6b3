"""A record as people read it: lines of plain text, at most as wide as they are asked to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from robench.base.grid import grid
from robench.base.text import counted, one_line, shortened
from robench.core.outcomes import CLEAN, scores_by_threat
from robench.core.record import Axis, Record, Value, share
from robench.records.headline import headline
from robench.records.measures import measures
from robench.records.protocol import NO_ACCESS
from robench.records.protocols import GROUP
from robench.records.said import (
    Line,
    certified,
    file_lines,
    folded,
    named,
    plain,
    threat_text,
    verdicts,
    warnings,
)
from robench.records.support.files import telling
from robench.records.tabular import Tabular

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.outcomes import Outcomes

ATTACK_METRICS = (
    "clean_accuracy",
    "attacked_accuracy",
    "robust_accuracy",
    "worst_case_accuracy",
    "audited_accuracy",
    "gained_by_masking",
    "certified_accuracy",
)
"""Metrics of the attack table and the lines below it; the others stand by themselves."""
MOST, LONGEST = 300, 500
"""Lines of a sheet, and letters of a line, at most: of the published records' 71 and 297."""
Threat = tuple[Axis, Axis]


@dataclass(frozen=True)
class AttackLine:
    """A line of the attack table: a text a threat, then what an image cost."""

    name: str
    cells: Mapping[Threat, str]
    cost: Sequence[str] = ("", "", "")


def sheet(
    record: Record,
    outcomes: Outcomes | None = None,
    audited: Mapping[str, NDArray[Any]] | None = None,
    width: int | None = None,
) -> Iterator[Line]:
    """The lines of a record: its title, attack table, verdicts, other values and warnings.

    They are MOST at most, of LONGEST letters each, and one that says how many are left out.
    `audited` is the record's `audit_table`. Without outcomes what needs them is left out: the
    headline row and the words of each threat. No width: no line is folded.
    """
    yield from _bounded(_whole(record, outcomes, audited, width))


def _bounded(lines: Iterator[Line]) -> Iterator[Line]:
    for line in islice(lines, MOST):
        yield replace(line, text=shortened(line.text, LONGEST))
    if more := sum(1 for _ in lines):
        yield Line(f"{counted(more, 'more line')}: robench show --json has all", "dim")


def _whole(
    record: Record,
    outcomes: Outcomes | None,
    audited: Mapping[str, NDArray[Any]] | None,
    width: int | None,
) -> Iterator[Line]:
    clean = f"clean accuracy {plus_minus(record.get('clean_accuracy'))}"
    about = (*file_lines(record), *_trained(record))
    head = [Line(title(record), "bold"), *map(Line, about), Line(clean)]
    yield from folded(head, width)
    if lines := list(_attack_lines(record, outcomes, audited)):
        heads, rows = _cells(lines)
        rows = [[*row, *line.cost] for row, line in zip(rows, lines, strict=True)]
        table = grid([*heads, "gradients", "queries", "seconds"], rows, width, spare=3)
        for number, text in enumerate(table):
            yield Line(text, "" if number else "bold")
    yield from below(record, outcomes, audited, width)


def below(
    record: Record,
    outcomes: Outcomes | None = None,
    audited: Mapping[str, NDArray[Any]] | None = None,
    width: int | None = None,
) -> Iterator[Line]:
    """The lines of a sheet below its attack table."""
    yield from folded(_words(record, outcomes, audited), width)
    others = [v for v in telling(record.values) if v.metric not in ATTACK_METRICS]
    yield from measures(others, width)
    for name, note in record.notes.items():
        yield from _note(name, note, width)
    yield from folded((Line(warning, "yellow") for warning in warnings(record, outcomes)), width)


def _words(
    record: Record, outcomes: Outcomes | None, audited: Mapping[str, NDArray[Any]] | None
) -> Iterator[Line]:
    """What stands below the attack table."""
    yield Line("percent of images; ± the longer side of the Wilson 95 % interval", "dim")
    if _means(record):
        yield Line("gradients, queries and seconds an image: the mean over the threats", "dim")
    if outcomes is not None:
        yield from verdicts(record, outcomes, audited)
    yield from certified(record)


def _trained(record: Record) -> Iterator[str]:
    """What a cache brought that this run would have trained to other bits."""
    own, trained = record.provenance.threads, record.provenance.trained_threads
    if own != trained:
        many = "" if trained == 1 else "s"
        yield f"trained with {trained} thread{many}, found in the cache; judged with {own}"


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
    many = "" if record.data.images == 1 else "s"
    judged = f"{record.data.name}, {record.data.images} test image{many}"
    return f"{judged}: {parts}, seed {record.seed}{under}"


def attack_table(
    record: Record,
    outcomes: Outcomes | None = None,
    audited: Mapping[str, NDArray[Any]] | None = None,
) -> Tabular:
    """The attack table for a paper: a row an attack, a column a threat, without its costs."""
    lines = list(_attack_lines(record, outcomes, audited))
    threats = dict.fromkeys(one for line in lines for one in line.cells) or {("", ""): None}
    clean = plus_minus(record.get("clean_accuracy"))
    heads, rows = _cells([AttackLine(CLEAN, dict.fromkeys(threats, clean)), *lines])
    cells = (tuple(cell.replace("±", " ± ") for cell in row) for row in rows)
    return Tabular(tuple(heads), tuple(cells))


def plus_minus(value: Value | None) -> str:
    """A share in percent, with the longer side of its interval: `91.7±3.3`."""
    if value is None or value.value is None:
        return "-"
    text = f"{100 * value.value:.1f}"
    if value.low is None or value.high is None:
        return text
    return f"{text}±{100 * max(value.high - value.value, value.value - value.low):.1f}"


def _cells(lines: Sequence[AttackLine]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of lines: the name, then a column a threat."""
    threats = list(dict.fromkeys(one for line in lines for one in line.cells))
    heads = ["attack", *(plain(threat_text(*one)) for one in threats)]
    rows = [[line.name, *(line.cells.get(t, "") for t in threats)] for line in lines]
    return heads, rows


def _attack_lines(
    record: Record, outcomes: Outcomes | None, audited: Mapping[str, NDArray[Any]] | None
) -> Iterator[AttackLine]:
    """A line an attack, one where attacked images count otherwise, the worst case, the headline."""
    robust = _by_attack(record, "robust_accuracy")
    attacked = _by_attack(record, "attacked_accuracy")
    failed = [row for row in record.rows if row.status == "invalid"]
    names = dict.fromkeys([*robust, *((row.attack, row.access) for row in failed)])
    for key in names:
        values = robust.get(key, {})
        cells = {threat: plus_minus(value) for threat, value in values.items()}
        cells |= {(r.norm, r.eps): "invalid" for r in failed if (r.attack, r.access) == key}
        yield AttackLine(plain(named(*key)), cells, _cost(record, *key))
        other = attacked.get(key, {})
        differing = {
            threat: plus_minus(other[threat])
            for threat, value in values.items()
            if threat in other and other[threat].value != value.value and key[1] != NO_ACCESS
        }
        # Where no search righted a wrong image, both accuracies are one.
        if differing:
            yield AttackLine("  attacked", differing)
    if worst := _worst(record, robust):
        yield AttackLine("worst case", worst)
    if outcomes is not None and (held := _headline(record, outcomes, audited)):
        yield AttackLine("headline", held)


def _by_attack(record: Record, metric: str) -> dict[tuple[Axis, Axis], dict[Threat, Value]]:
    """The values of a metric by attack and access, then by threat."""
    found: dict[tuple[Axis, Axis], dict[Threat, Value]] = {}
    for value in record.values:
        if value.metric == metric:
            axes = value.axes
            own = found.setdefault((axes.get("attack"), axes.get("access")), {})
            own[axes.get("norm"), axes.get("eps")] = value
    return found


def _worst(
    record: Record, robust: Mapping[tuple[Axis, Axis], Mapping[Threat, Value]]
) -> dict[Threat, str]:
    """The worst case of each threat that several attacks met; noise is none."""
    met = [t for key, own in robust.items() if key[1] != NO_ACCESS for t in own]
    worst = _by_attack(record, "worst_case_accuracy")
    return {
        threat: plus_minus(value)
        for own in worst.values()
        for threat, value in own.items()
        if met.count(threat) > 1
    }


def _headline(
    record: Record, outcomes: Outcomes, audited: Mapping[str, NDArray[Any]] | None
) -> dict[Threat, str]:
    """The smallest thing known of each threat that was audited, over rows and audit."""
    found: dict[Threat, str] = {}
    threats = {(audit.norm, audit.eps) for audit in record.audit}
    for norm, eps in scores_by_threat(outcomes, record.budgets()):
        if (norm, eps) in threats:
            holds = headline(record, outcomes, audited, norm, eps)
            found[norm, eps] = plus_minus(share("headline", int(holds.sum()), len(holds), {}))
    return found


def _means(record: Record) -> bool:
    """Whether an attack has several rows, over which its costs are means."""
    return len({(row.attack, row.access) for row in record.rows}) < len(record.rows)


def _cost(record: Record, attack: Axis, access: Axis) -> tuple[str, str, str]:
    """Gradients, queries and seconds an image, the mean over an attack's rows."""
    rows = [row for row in record.rows if (row.attack, row.access) == (attack, access)]
    if not rows:
        return "", "", ""
    counts = ([row.gradients for row in rows], [row.queries for row in rows])
    known = ([one for one in own if one is not None] for own in counts)
    gradients, queries = (f"{sum(own) / len(own):,.0f}" if own else "-" for own in known)
    seconds = sum(row.seconds for row in rows) / len(rows) / max(1, record.data.images)
    return gradients, queries, f"{seconds:.2g}"


def _note(name: str, note: Any, width: int | None) -> Iterator[Line]:
    """What a training reported: a row for each entry of a list, else the value itself."""
    rows = note if isinstance(note, list) and all(isinstance(r, dict) for r in note) else []
    if not rows:
        yield from folded([Line(f"{name}: {_short(note)}")], width)
        return
    columns = [str(column) for column in rows[0]]
    texts = [[str(n), *(_short(row.get(c)) for c in rows[0])] for n, row in enumerate(rows)]
    lines = list(grid([plain(name), *map(plain, columns)], texts))
    if width is not None and max(map(len, lines)) > width:
        said = f"{name}: {len(rows)} entries of {', '.join(columns)}; robench show --json has them"
        yield from folded([Line(said)], width)
        return
    yield from map(Line, lines)


def _short(value: Any) -> str:
    return " ".join(map(_short, value)) if isinstance(value, list) else plain(str(value))
