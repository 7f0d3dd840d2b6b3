"""Several records beside each other: a line each, their systems and the numbers that matter."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from robench.base.errors import UserError
from robench.core.record import Record, Value, worst
from robench.core.threat import eps_text
from robench.records.store import RECORD, check_choices, read
from robench.records.tabular import Cell, Tabular

COLUMNS = ("record", "data", "system", "seed", "clean %", "robust %", "under", "audit", "when")


@dataclass(frozen=True)
class Latest:
    """Records that were written last, and what could not be read."""

    records: tuple[tuple[Path, Record], ...]
    broken: tuple[str, ...]
    there: int


def latest(results: Path, most: int | None) -> Latest:
    """The records of a results folder, the latest first, at most so many."""
    paths = sorted(
        results.glob(f"[!.]*/{RECORD}"), key=lambda one: one.stat().st_mtime, reverse=True
    )
    records, broken = readable(path.parent for path in paths[:most])
    return Latest(records, broken, len(paths))


def readable(
    folders: Iterable[Path],
) -> tuple[tuple[tuple[Path, Record], ...], tuple[str, ...]]:
    """The records of folders, and why others cannot be read."""
    records, broken = [], []
    for folder in folders:
        try:
            record = read(folder)
            check_choices(record)
        except (UserError, ValueError) as error:  # also a name that no file has
            broken.append(f"{folder.name}: {error}")
        else:
            records.append((folder, record))
    return tuple(records), tuple(broken)


def lines(records: Iterable[Record]) -> Tabular:
    """A row a record: its system, clean accuracy, and its robust accuracy under one threat."""
    return Tabular(COLUMNS, tuple(map(_line, records)))


def _line(record: Record) -> tuple[Cell, ...]:
    robust = lowest(record)
    return (
        record.id[:8],
        record.data.name,
        system(record),
        str(record.seed),
        _percent(record.get("clean_accuracy")),
        _percent(robust),
        _under(robust),
        worst(audit.verdict for audit in record.audit) if record.audit else "",
        datetime.fromtimestamp(record.timings.get("finished", 0.0), UTC).strftime("%Y-%m-%d %H:%M"),
    )


def system(record: Record) -> str:
    """Model, defense and compressor in one word, what is `none` left out."""
    kinds = (record.config.get(kind) or {} for kind in ("model", "defense", "compressor"))
    named = ("+".join(map(str, chosen)) for chosen in kinds)
    return " ".join(name for name in named if name != "none")


def lowest(record: Record) -> Value | None:
    """The smaller of worst case and audited accuracy under the threat where it is smallest."""
    metrics = ("worst_case_accuracy", "audited_accuracy")
    found = [v for v in record.values if v.metric in metrics and v.value is not None]
    return min(found, key=lambda value: value.value or 0.0, default=None)


def over_seeds(records: Iterable[Record]) -> Tabular:
    """Records that differ in nothing but their seed as one row: mean and standard deviation."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_apart_from_seed(record), []).append(record)
    heads = ("system", "seeds", "clean %", "robust %", "under", "audit")
    return Tabular(heads, tuple(map(_group, groups.values())))


def _group(records: list[Record]) -> tuple[Cell, ...]:
    robust = [lowest(record) for record in records]
    cleans = [record.get("clean_accuracy") for record in records]
    verdicts = [audit.verdict for record in records for audit in record.audit]
    seeds = ",".join(str(record.seed) for record in records)
    under = dict.fromkeys(map(_under, robust))
    one = len(records) == 1
    return (
        described(records[0]),
        seeds,
        _percent(cleans[0]) if one else _spread(cleans),
        _percent(robust[0]) if one else _spread(robust),
        ", ".join(under),
        worst(verdicts) if verdicts else "",
    )


def described(record: Record) -> str:
    """A system with the options that were typed for it."""
    kinds = ("dataset", "model", "defense", "compressor")
    typed = [one for one in record.overrides if one.startswith(tuple(f"{k}." for k in kinds))]
    return " ".join([system(record), *typed])


def _apart_from_seed(record: Record) -> str:
    return str({key: value for key, value in record.config.items() if key != "seed"})


def _spread(values: Iterable[Value | None]) -> str:
    numbers = [100 * v.value for v in values if v is not None and v.value is not None]
    if not numbers:
        return ""
    deviation = f"±{statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.1f}{deviation}"


def _percent(value: Value | None) -> str:
    return "" if value is None or value.value is None else f"{100 * value.value:.1f}"


def _under(value: Value | None) -> str:
    eps = value.axes.get("eps") if value else None
    return f"{value.axes.get('norm')} {eps_text(eps)}" if value and isinstance(eps, float) else ""
