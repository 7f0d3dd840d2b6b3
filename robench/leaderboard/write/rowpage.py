"""Second pass: a page for each row, and all values as one table to download."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robench.base.parallel import Each
from robench.core.record import Record, Value
from robench.leaderboard.read.intake import why
from robench.leaderboard.table.cells import Column
from robench.leaderboard.table.formats import NORM_NAMES, attack_text, interval, number, short
from robench.leaderboard.table.labels import SMALL_UNITS, chosen_label
from robench.leaderboard.table.proof import uncertified
from robench.leaderboard.table.ranking import no_rank
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site
from robench.leaderboard.table.values import header
from robench.leaderboard.write import downloads
from robench.leaderboard.write.pages import write_page
from robench.leaderboard.write.tabledata import row_text, write_table
from robench.records.store import read
from robench.run.again import again


@dataclass(frozen=True)
class RowJob:
    """What a row's page says besides its record."""

    row: BoardRow
    label: str
    rank: int | None
    no_rank: str
    """Why it has none."""
    tab: str
    """Its tab's label."""
    about: tuple[tuple[str, str], ...]
    """What its protocol fixes."""
    ranked: int
    """How many rows have a rank beside it."""
    models: dict[str, str]
    place: tuple[int, int]
    """Numbers of its tab and its group."""
    columns: tuple[Column, ...]
    header: tuple[str, ...]
    """Of the table of all values."""
    folder: Path


@dataclass(frozen=True)
class Written:
    """What the rows' pages give to the files that hold all rows, as they are written."""

    header: tuple[str, ...]
    lines: Iterator[downloads.Lines | str]
    """Of each row, or why it could not be written."""


def start_rows(site: Site, out: Path, each: Each) -> Written:
    """Begin to write every row's page."""
    columns = header({axis for row in site.rows for axis in row.axes})
    jobs = [
        RowJob(
            row=row,
            label=site.labels[row.id],
            rank=site.ranks[row.id],
            no_rank=no_rank(row),
            tab=site.tabs[tab].label,
            about=site.tabs[tab].about,
            ranked=sum(site.ranks[one.id] is not None for one in group.rows),
            models={kind: chosen_label(row, kind, group.varying) for kind in row.chosen},
            place=(tab, number),
            columns=site.columns,
            header=columns,
            folder=out / "rows" / row.id,
        )
        for number, (tab, group) in enumerate(site.groups)
        for row in group.rows
    ]
    return Written(columns, each(write_row, jobs))


def finish_rows(site: Site, written: Written, out: Path) -> dict[str, str]:
    """Write the main table's data and all values to download, once the pages are there.

    Returns the ids of the rows that have no page, and why; then the page must be written again
    without them.
    """
    table, failed = downloads.write(written.header, written.lines, out / "data")
    if not any(failed):
        write_table(site, table, out)
    return {row.id: why for row, why in zip(site.rows, failed, strict=True) if why}


def write_row(job: RowJob) -> downloads.Lines | str:
    """Write a row's page; returns its lines of the files that hold all rows, or why it failed."""
    try:
        return _write_row(job)
    except Exception as error:
        return why(error)


def _write_row(job: RowJob) -> downloads.Lines:
    record, raw = _records(job)
    fallen = any(one.counts for one in job.row.proof.breaks)
    told = [record] if fallen else list(raw.values())
    if job.row.proof.refuted:
        told = [one.model_copy(update={"values": uncertified(one.values)}) for one in told]
    csv, json = downloads.lines(told, job.row.proof.level, job.header)
    whole = ",".join(job.header) + "\n" + csv
    write_page(
        "row.html",
        job.folder / "index.html",
        root="../../",
        job=job,
        row=job.row,
        record=record,
        raw=raw,
        said=_said(job.row),
        commands=[again(one) for one in raw.values()],
        values=[_value(value) for value in record.values],
        csv=base64.b64encode(whole.encode()).decode(),
    )
    return downloads.Lines(
        csv, json, row_text(job.row, job.label, job.rank, job.place, job.columns)
    )


def _said(row: BoardRow) -> dict[tuple[object, object], str]:
    """The word of what holds under each threat."""
    return {
        (column.axis("norm"), column.axis("eps")): cell.word
        for column, cell in row.cells.items()
        if column.metric == "robust"
    }


def _records(job: RowJob) -> tuple[Record, dict[str, Record]]:
    """The row's record, and by file name those that it was made from."""
    return read(job.folder), {name: _read(job.folder / name) for name in job.row.files}


def _read(path: Path) -> Record:
    return Record.model_validate_json(path.read_bytes())


def _value(value: Value) -> tuple[str, ...]:
    """A value's cells: metric, what of, number, interval, unit, n."""
    return (
        value.metric.replace("_", " "),
        _what_of(dict(value.axes)),
        number(value.value, value.unit),
        interval(value.low, value.high, value.unit),
        "%" if value.unit == "share" else SMALL_UNITS.get(value.unit, value.unit),
        "" if value.n is None else f"{value.n:,}",
    )


def _what_of(axes: dict[str, Any]) -> str:
    """A value's axes in words: the threat first, then the rest by name."""
    attack, access = axes.pop("attack", ""), axes.pop("access", "none")
    norm, eps = axes.pop("norm", ""), axes.pop("eps", None)
    if attack:
        words = [attack_text(attack.replace("_", " "), access, norm, eps)]
    else:
        words = [f"{NORM_NAMES.get(norm, norm)} {short(eps)}"] if norm and eps is not None else []
    words += [f"{name} {_axis(value)}" for name, value in axes.items() if value not in (None, "")]
    return ", ".join(words)


def _axis(value: Any) -> str:
    return short(value) if isinstance(value, float) else str(value)
