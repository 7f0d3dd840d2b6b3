"""The main table as data: what the page's scripts sort, filter and show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from robench.leaderboard.table.cells import Cell, Column
from robench.leaderboard.table.labels import heading
from robench.leaderboard.table.row import Row
from robench.leaderboard.table.site import Protocol, Site
from robench.leaderboard.write.pages import compact

TABLE = "data/table.js"
"""Also the file by which a folder is known as a page that may be replaced."""


def write_table(site: Site, rows: Iterable[str], out: Path) -> None:
    """Write columns, protocols and the rows, each as `row_text` gives it, protocol by protocol."""
    columns = compact([_column(column) for column in site.columns])
    protocols = compact([_protocol(site, protocol) for protocol in site.protocols])
    with (out / TABLE).open("w", encoding="utf-8") as file:
        file.write("window.robench = window.robench || {};\n")
        file.write(f'robench.table = {{"columns":{columns},"protocols":{protocols},"rows":[\n')
        file.write(",\n".join(rows))
        file.write("\n]};\n")


def _protocol(site: Site, protocol: Protocol) -> dict[str, Any]:
    wanted = protocol.at_first
    shown = [index for index, column in enumerate(site.columns) if column in wanted]
    return {"label": protocol.label, "columns": shown}


def _column(column: Column) -> dict[str, Any]:
    title, small = heading(column)
    return {
        "key": column.key,
        "title": title,
        "small": small,
        "unit": column.unit,
        "better": column.better,
    }


def row_text(
    row: Row, label: str, rank: int | None, protocol: int, columns: Sequence[Column]
) -> str:
    """A row as JSON: what it is, then its cells in the order of the columns."""
    chosen = [row.names(kind) for kind in ("dataset", "model", "defense", "compressor")]
    rest = [row.bits, row.access, row.seed, row.verdict]
    cells = ",".join(_cell(row.cells.get(column)) for column in columns)
    about = compact([row.id, label, protocol, rank, *chosen, *rest])
    return f"{about[:-1]},[{cells}]]"


def _cell(cell: Cell | None) -> str:
    """`[value, low, high, badge]`, five digits each; 0 where there is no cell."""
    if cell is None:
        return "0"
    numbers = ",".join(
        "null" if v is None else f"{v:.5g}" for v in (cell.value, cell.low, cell.high)
    )
    return f"[{numbers},{json.dumps(cell.badge)}]" if cell.badge else f"[{numbers}]"
