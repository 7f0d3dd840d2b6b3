"""The main table as data: what the page's scripts sort, filter and show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.cells import Cell, Column
from robench.leaderboard.table.formats import LEVEL_MARKS, SCALE, WORDS
from robench.leaderboard.table.labels import heading
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Group, Site, Tab
from robench.leaderboard.write.pages import compact

TABLE = "data/table.js"
"""Also the file by which a folder is known as a page that may be replaced."""
FIELDS = (
    "id",
    "label",
    "protocol",
    "group",
    "rank",
    "dataset",
    "model",
    "defense",
    "compressor",
    "bits",
    "access",
    "seed",
    "level",
    "word",
    "notes",
    "cells",
)
"""What a row is written as, in this order; the scripts read the order from the table."""


def write_table(site: Site, rows: Iterable[str], out: Path) -> None:
    """Write columns, tabs, groups and the rows, each as `row_text` gives it, group by group."""
    told = {
        "fields": FIELDS,
        "words": WORDS,
        "levels": LEVEL_MARKS,
        "scale": SCALE,
        "columns": [_column(column) for column in site.columns],
        "protocols": [_tab(tab) for tab in site.tabs],
        "groups": [_group(site, group) for _, group in site.groups],
    }
    with (out / TABLE).open("w", encoding="utf-8") as file:
        file.write("window.robench = window.robench || {};\n")
        file.write(f'robench.table = {compact(told)[:-1]},"rows":[\n')
        file.write(",\n".join(rows))
        file.write("\n]};\n")


def _tab(tab: Tab) -> dict[str, Any]:
    return {"key": tab.key, "label": tab.label, "about": tab.about}


def _group(site: Site, group: Group) -> dict[str, Any]:
    wanted = group.at_first
    shown = [index for index, column in enumerate(site.columns) if column in wanted]
    return {"label": group.label, "columns": shown}


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
    row: BoardRow,
    label: str,
    rank: int | None,
    place: tuple[int, int],
    columns: Sequence[Column],
) -> str:
    """A row as JSON, field by field; its cells stand in the order of the columns.

    `place` are the numbers of its tab and of its group.
    """
    fields = {
        **{kind: row.names(kind) for kind in SYSTEM_KINDS},
        **{name: getattr(row, name) for name in ("id", "bits", "access", "seed", "word")},
        "label": label,
        "protocol": place[0],
        "group": place[1],
        "rank": rank,
        "level": row.proof.level,
        "notes": row.notes,
    }
    cells = ",".join(_cell(row.cells.get(column), column.unit) for column in columns)
    texts = [f"[{cells}]" if name == "cells" else compact(fields[name]) for name in FIELDS]
    return f"[{','.join(texts)}]"


def _cell(cell: Cell | None, unit: str) -> str:
    """`[value, low, high, word, sentence]`; 0 where there is no cell.

    Shares have five digits; others nine, so that rounding twice shows no other number.
    """
    if cell is None:
        return "0"
    digits = 5 if unit == "share" else 9
    numbers = ",".join(
        "null" if v is None else f"{v:.{digits}g}" for v in (cell.value, cell.low, cell.high)
    )
    said = compact([cell.word, cell.sentence])[1:-1] if cell.word or cell.sentence else ""
    return f"[{numbers},{said}]" if said else f"[{numbers}]"
