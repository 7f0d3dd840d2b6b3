"""All values as Parquet: what `robench.results.load` gives as a frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from robench.core.record import SYSTEM_KINDS, Record
from robench.records.store import value_rows
from robench.records.trust import Level


def lines(records: Iterable[Record], level: Level, columns: Sequence[str]) -> str:
    """Records' values as lines of CSV."""
    rows = [_row(row, level) for record in records for row in value_rows(record)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*map(row.get, columns)] for row in rows)
    return text.getvalue()


def _row(row: dict[str, object], level: Level) -> dict[str, object]:
    axis = {"axis_level": row["level"]} if "level" in row else {}
    return {**row, **axis, "level": level}


def write(header: Sequence[str], rows: Iterable[str], out: Path) -> None:
    """Write values.parquet."""
    table = out / "values.csv"
    with table.open("w", encoding="utf-8") as file:
        file.write(",".join(header) + "\n")
        file.writelines(rows)
    _write_parquet(table, out / "values.parquet")
    table.unlink()


def _write_parquet(table: Path, out: Path) -> None:
    """The CSV of all values as Parquet; numbers are numbers, empty cells are null."""
    import pyarrow.csv
    import pyarrow.parquet

    words = ("record", "level", "status", "protocol", *SYSTEM_KINDS, "metric", "unit", "better")
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(words, pyarrow.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = pyarrow.csv.read_csv(table, convert_options=convert)
    pyarrow.parquet.write_table(read, out)
