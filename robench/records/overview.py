"""Several records beside each other: a line each, their systems and the numbers that matter."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from robench.base.errors import UserError
from robench.base.text import one_line, shortened
from robench.core.outcomes import Outcomes
from robench.core.record import Record, Value
from robench.records.consistent import contradiction_told
from robench.records.headline import audit_table, headlines
from robench.records.said import threat_text
from robench.records.store import RECORD, check_choices, read, read_json, read_outcomes
from robench.records.tabular import Cell, Tabular

COLUMNS = ("record", "system", "clean %", "robust %", "word", "under", "data", "seed", "when")
FAULT = "contradicts itself"
"""The word of a number in a record that does."""
AHEAD = 86_400
"""Seconds that another machine's clock may be ahead."""
MOST = 40
"""Letters of a file's name."""


@dataclass(frozen=True)
class Least:
    """The headline of a record under the threat where it is smallest."""

    share: float
    """Of the judged images that hold, in [0,1]."""
    under: str
    mark: str
    """What its word is called, as on the page."""


@dataclass(frozen=True)
class Listed:
    """A record and its smallest headline, None where it was attacked under no threat."""

    record: Record
    least: Least | None
    fault: str = ""
    """How it contradicts what lies beside it, as far as its outcomes tell."""


@dataclass(frozen=True)
class Latest:
    """Records that were written last, and what could not be read."""

    records: tuple[Listed, ...]
    broken: tuple[str, ...]
    there: int


def latest(results: Path, most: int | None) -> Latest:
    """The records of a results folder, the latest first, at most so many.

    That is by when they say that their runs ended: a copy or a checkout has other times on disk.
    """
    paths = sorted(results.glob(f"[!.]*/{RECORD}"), key=_finished, reverse=True)
    records, broken = readable(path.parent for path in paths[:most])
    return Latest(records, broken, len(paths))


def _finished(path: Path) -> float:
    """Seconds since the epoch when a record's run ended; by the disk where it does not say.

    What is yet to come is no moment, and stands last.
    """
    with suppress(UserError, LookupError, TypeError, ValueError, OverflowError, RecursionError):
        told = float(json.loads(read_json(path))["timings"]["finished"])
        if math.isfinite(told):
            return 0.0 if _to_come(told) else told
    return path.stat().st_mtime


def readable(folders: Iterable[Path]) -> tuple[tuple[Listed, ...], tuple[str, ...]]:
    """The records of folders, and why others cannot be read."""
    records, broken = [], []
    for folder in folders:
        try:
            record = read(folder)
            check_choices(record)
            outcomes = read_outcomes(folder)
            fault = contradiction_told(record, outcomes)
            records.append(Listed(record, _least(record, outcomes, folder), fault))
        except (UserError, ValueError) as error:  # also a name that no file has
            broken.append(f"{folder.name}: {error}")
    return tuple(records), tuple(broken)


def _least(record: Record, outcomes: Outcomes, folder: Path) -> Least | None:
    known = headlines(record, outcomes, [audit_table(folder)])
    if not known:
        return None
    (norm, eps), head = min(known.items(), key=lambda one: float(one[1].holds.mean()))
    return Least(float(head.holds.mean()), threat_text(norm, eps), head.said.mark)


def lines(found: Iterable[Listed]) -> Tabular:
    """A row a record: its system, clean accuracy, and the smallest headline with its word."""
    return Tabular(COLUMNS, tuple(map(_line, found)))


def _line(one: Listed) -> tuple[Cell, ...]:
    record, least = one.record, one.least
    return (
        record.id[:8],
        system(record),
        _percent(record.get("clean_accuracy")),
        f"{100 * least.share:.1f}" if least else "",
        FAULT if one.fault else least.mark if least else "",
        least.under if least else "",
        record.data.name,
        str(record.seed),
        _when(record.timings.get("finished", 0.0)),
    )


def _when(finished: float) -> str:
    """A moment as people write it, and whether it is yet to come."""
    date = datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%d %H:%M")
    return f"{date} (in the future)" if _to_come(finished) else date


def _to_come(finished: float) -> bool:
    return finished > time.time() + AHEAD


def system(record: Record) -> str:
    """Model, or the name of its file, defense and compressor in one word, `none` left out."""
    kinds = {kind: record.config.get(kind) or {} for kind in ("model", "defense", "compressor")}
    named = ["+".join(map(str, chosen)) for chosen in kinds.values()]
    if path := (kinds["model"].get("file") or {}).get("path"):
        named[0] = shortened(one_line(Path(str(path)).name), MOST)
    return " ".join(name for name in named if name != "none")


def over_seeds(found: Iterable[Listed]) -> Tabular:
    """Records that differ in nothing but their seed as one row: mean and standard deviation."""
    groups: dict[str, list[Listed]] = {}
    for one in found:
        groups.setdefault(_apart_from_seed(one.record), []).append(one)
    typed = [set(same[0].record.overrides) for same in groups.values()]
    shared = set.intersection(*typed) if typed else set()
    heads = ("system", "seeds", "clean %", "robust %", "word", "under")
    return Tabular(heads, tuple(_group(same, shared) for same in groups.values()))


def _group(same: list[Listed], shared: Collection[str]) -> tuple[Cell, ...]:
    known = [one.least for one in same if one.least]
    words = (FAULT if one.fault else one.least.mark for one in same if one.least)
    cleans = [value.value for one in same if (value := one.record.get("clean_accuracy"))]
    return (
        _described(same[0].record, shared),
        ",".join(str(one.record.seed) for one in same),
        _spread([share for share in cleans if share is not None]),
        _spread([least.share for least in known]),
        ", ".join(dict.fromkeys(words)),
        ", ".join(dict.fromkeys(least.under for least in known)),
    )


def _described(record: Record, shared: Collection[str]) -> str:
    """A system with the options that were typed for it, and what not all records were given."""
    kinds = ("dataset", "model", "defense", "compressor")
    said = (*(f"{kind}=" for kind in kinds[1:]), "seed=")
    own = [
        one
        for one in record.overrides
        if one.startswith(tuple(f"{kind}." for kind in kinds))
        or (one not in shared and not one.startswith(said))
    ]
    return " ".join([system(record), *map(one_line, own)])


def _apart_from_seed(record: Record) -> str:
    return str({key: value for key, value in record.config.items() if key != "seed"})


def _spread(shares: Sequence[float]) -> str:
    """Mean and standard deviation in percent; the deviation of several alone."""
    if not shares:
        return ""
    numbers = [100 * share for share in shares]
    deviation = f"±{statistics.stdev(numbers):.1f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.1f}{deviation}"


def _percent(value: Value | None) -> str:
    return "" if value is None or value.value is None else f"{100 * value.value:.1f}"
