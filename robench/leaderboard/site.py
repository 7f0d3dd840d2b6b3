"""Records to a static site: a pure function of the records' files."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from robench.compare import budgets
from robench.errors import UserError
from robench.leaderboard import downloads
from robench.leaderboard.cells import Column, at_first, ordered
from robench.leaderboard.charts import CHARTS
from robench.leaderboard.intake import Refused, find_records, take
from robench.leaderboard.labels import chosen_label, heading, protocol_label, row_label, varying
from robench.leaderboard.pages import command, script, write_page
from robench.leaderboard.parts import Part, robust_scores
from robench.leaderboard.points import points
from robench.leaderboard.ranking import ranks
from robench.leaderboard.row import Row, make_row
from robench.leaderboard.stills import compiled, still
from robench.paths import shipped
from robench.preview import preview_name, shown
from robench.record import Record
from robench.results import RECORD, read

FIRST_ROWS = 25
"""Rows that stand in the page itself; scripts bring the others."""
MARK = "data/table.js"
"""The file by which a folder is known as a page that may be replaced."""


@dataclass(frozen=True)
class Protocol:
    """Rows that may be compared, best first."""

    key: str
    label: str
    rows: tuple[Row, ...]

    @property
    def at_first(self) -> set[Column]:
        """The columns that its table shows at first."""
        return at_first({column for row in self.rows for column in row.cells})


@dataclass(frozen=True)
class Site:
    """Everything the pages show."""

    protocols: tuple[Protocol, ...]
    columns: tuple[Column, ...]
    labels: dict[str, str]
    ranks: dict[str, int | None]
    refused: tuple[Refused, ...]

    @property
    def rows(self) -> list[Row]:
        """All rows, protocol by protocol."""
        return [row for protocol in self.protocols for row in protocol.rows]


def build(roots: Iterable[Path], out: Path) -> Site:
    """Make the site of all records below the roots in `out`, replacing an earlier one.

    Broken records are left out and named in `Site.refused`. Raises UserError when `out` holds
    something else or no record is left.
    """
    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UserError(
            f"expected an empty folder or an earlier page in {out}; choose another --out"
        )
    work = out.with_name(f".{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    for name in ("data", "rows", "charts"):
        (work / name).mkdir(parents=True)
    try:
        site = _gather(find_records(roots), work)
        _write(site, work)
        shutil.rmtree(out, ignore_errors=True)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return site


# -- reading -----------------------------------------------------------------------------------


def _gather(found: list[tuple[str, Path]], work: Path) -> Site:
    rows: dict[str, Row] = {}
    refused: list[Refused] = []
    for name, folder in found:
        try:
            record, parts = take(folder)
            if record.id in rows:
                raise UserError(f"expected each run once, got {record.id} twice")
            _copy(record, parts, folder, work / "rows" / record.id)
            rows[record.id] = make_row(record, parts, folder)
        except UserError as error:
            refused.append(Refused(name, str(error)))
    if not rows:
        raise UserError(f"expected at least one sound record, got none of {len(found)}")
    return _site(list(rows.values()), refused)


def _site(rows: list[Row], refused: list[Refused]) -> Site:
    different = varying(rows)
    protocols = _protocols(rows)
    return Site(
        protocols=protocols,
        columns=tuple(ordered(row.cells for protocol in protocols for row in protocol.rows)),
        labels={row.id: row_label(row, different) for row in rows},
        ranks=ranks(rows),
        refused=tuple(refused),
    )


def _protocols(rows: list[Row]) -> tuple[Protocol, ...]:
    ordered_rows = sorted(rows, key=lambda row: (row.protocol, -row.score, row.id))
    groups = [list(group) for _, group in groupby(ordered_rows, key=lambda row: row.protocol)]
    found = [Protocol(group[0].protocol, protocol_label(group), tuple(group)) for group in groups]
    return tuple(sorted(found, key=lambda p: (-len(p.rows), p.label, p.key)))


def _copy(record: Record, parts: Sequence[Part], folder: Path, out: Path) -> None:
    """The files of a row that need nothing of the other rows."""
    out.mkdir()
    shutil.copyfile(folder / RECORD, out / RECORD)
    valid = [part for part in parts[1:] if part.valid]
    for index in range(len(valid)):
        if (folder / preview_name(index)).is_file():
            shutil.copyfile(folder / preview_name(index), out / preview_name(index))
    scores = {
        f"{s.attack}|{s.access}|{s.norm}|{'' if s.eps is None else s.eps}": _packed(s.right)
        for _, s in robust_scores(list(parts), budgets(record))
    }
    outcomes = {"data": record.data.hash, "subset": record.data.subset, "n": record.data.images}
    text = script(f"outcomes_{record.id}", {**outcomes, "right": scores})
    (out / "outcomes.js").write_text(text, encoding="utf-8")


def _packed(right: Any) -> str:
    return base64.b64encode(np.packbits(right).tobytes()).decode()


# -- writing -----------------------------------------------------------------------------------


def _write(site: Site, out: Path) -> None:
    template = shipped("leaderboard/template")
    for name in ("assets", "vendor"):
        shutil.copytree(template / name, out / name)
    _write_tables(site, out)
    _write_charts(site, out)
    _write_rows(site, out)
    write_page("index.html", out / "index.html", **_index(site))
    write_page("compare.html", out / "compare.html")


def _index(site: Site) -> dict[str, Any]:
    first = site.protocols[0]
    wanted = first.at_first
    shown_columns = [column for column in site.columns if column in wanted]
    return {
        "site": site,
        "protocol": first,
        "columns": [(column, *heading(column)) for column in shown_columns],
        "first_rows": first.rows[:FIRST_ROWS],
        "charts": [chart for chart in CHARTS if (out_chart(site, chart.name))],
        "varies": {
            "model": len({row.names("model") for row in site.rows}) > 1,
            "bits": len({row.bits for row in site.rows}) > 1,
        },
        "studies": (),
    }


def out_chart(site: Site, name: str) -> bool:
    """Whether any row of the first protocol has points for a picture."""
    return bool(points([(row, "") for row in site.protocols[0].rows], name))


def _write_tables(site: Site, out: Path) -> None:
    place = {protocol.key: index for index, protocol in enumerate(site.protocols)}
    table = {
        "columns": [_column(column) for column in site.columns],
        "protocols": [_shown(site, protocol) for protocol in site.protocols],
        "rows": [_row(site, row, place[row.protocol]) for row in site.rows],
    }
    (out / MARK).write_text(script("table", table), encoding="utf-8")


def _shown(site: Site, protocol: Protocol) -> dict[str, Any]:
    wanted = protocol.at_first
    shown = [index for index, column in enumerate(site.columns) if column in wanted]
    return {"label": protocol.label, "columns": shown}


def _column(column: Column) -> dict[str, Any]:
    title, small = heading(column)
    return {
        "key": column.key,
        "metric": column.metric,
        "title": title,
        "small": small,
        "unit": column.unit,
        "better": column.better,
    }


def _row(site: Site, row: Row, protocol: int) -> list[Any]:
    about = [row.id, site.labels[row.id], protocol, site.ranks[row.id]]
    chosen = [row.names(kind) for kind in ("dataset", "model", "defense", "compressor")]
    rest = [row.bits, row.access, row.seed, row.verdict]
    return [*about, *chosen, *rest, [_cell(row, column) for column in site.columns]]


def _cell(row: Row, column: Column) -> Any:
    cell = row.cells.get(column)
    if cell is None:
        return 0
    numbers = [None if v is None else float(f"{v:.5g}") for v in (cell.value, cell.low, cell.high)]
    return [*numbers, cell.badge] if cell.badge else numbers


def _write_charts(site: Site, out: Path) -> None:
    specs = {chart.name: compiled(chart) for chart in CHARTS}
    (out / "data/charts.js").write_text(script("charts", specs), encoding="utf-8")
    for index, protocol in enumerate(site.protocols):
        rows = [(row, site.labels[row.id]) for row in protocol.rows]
        found = {chart.name: points(rows, chart.name) for chart in CHARTS}
        path = out / f"data/points{index}.js"
        path.write_text(script(f"points{index}", found), encoding="utf-8")
        if index == 0:
            for chart in CHARTS:
                if found[chart.name]:
                    svg = still(chart, found[chart.name])
                    (out / f"charts/{chart.name}.svg").write_text(svg, encoding="utf-8")


def _write_rows(site: Site, out: Path) -> None:
    records = {row.id: row.folder for row in site.rows}
    different = varying(site.rows)
    axes = set().union(*(downloads.axis_names(read(folder)) for folder in records.values()))
    columns = downloads.header(axes)
    head = ",".join(columns) + "\n"
    with (out / "data/values.csv").open("w", encoding="utf-8") as whole:
        whole.write(head)
        for protocol in site.protocols:
            for row in protocol.rows:
                record, parts = take(row.folder)
                lines = downloads.csv_lines(record, columns)
                whole.write(lines)
                folder = out / "rows" / row.id
                (folder / "values.csv").write_text(head + lines, encoding="utf-8")
                page = _row_page(site, protocol, row, record, parts)
                models = {k: chosen_label(row, k, different) for k in row.chosen}
                write_page("row.html", folder / "index.html", depth=2, models=models, **page)
    downloads.write_parquet(out / "data/values.csv", out / "data/values.parquet")
    downloads.write_json(out / "data/values.parquet", out / "data/values.json")


def _row_page(
    site: Site, protocol: Protocol, row: Row, record: Record, parts: Sequence[Part]
) -> dict[str, Any]:
    return {
        "row": row,
        "record": record,
        "label": site.labels[row.id],
        "rank": site.ranks[row.id],
        "protocol": protocol,
        "command": command(record),
        "examples": _examples(record, parts, row.folder),
    }


def _examples(record: Record, parts: Sequence[Part], folder: Path) -> list[dict[str, Any]]:
    """The picture strips of a record with a caption for each image."""
    valid = [part for part in parts[1:] if part.valid]
    found = []
    for index, part in enumerate(valid):
        if not (folder / preview_name(index)).is_file():
            continue
        c = part.columns
        at = shown(c["label"], c["clean_prediction"], c["prediction"])
        captions = [
            (int(c["label"][i]), int(c["clean_prediction"][i]), int(c["prediction"][i])) for i in at
        ]
        found.append({"part": part, "file": preview_name(index), "captions": captions})
    return found
