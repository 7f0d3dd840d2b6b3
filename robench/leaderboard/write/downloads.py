"""All values as CSV, JSON and Parquet: what `robench.results.load` gives as a frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.core.record import SYSTEM_KINDS, Record
from robench.records.store import value_rows
from robench.records.trust import Level


@dataclass(frozen=True)
class Lines:
    """A row's share of the files that hold all rows."""

    csv: str
    json: str
    table: str


def lines(records: Iterable[Record], level: Level, columns: Sequence[str]) -> tuple[str, str]:
    """Records' values as lines of CSV, and as JSON objects a line without what is missing."""
    rows = [_row(row, level) for record in records for row in value_rows(record)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*map(row.get, columns)] for row in rows)
    return text.getvalue(), ",\n".join(map(_object, rows))


def _row(row: dict[str, object], level: Level) -> dict[str, object]:
    axis = {"axis_level": row["level"]} if "level" in row else {}
    return {**row, **axis, "level": level}


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _object(row: dict[str, object]) -> str:
    return _encode(
        {name: value for name, value in row.items() if value is not None and value != ""}
    )


def write(
    header: Sequence[str], rows: Iterable[Lines | str], out: Path
) -> tuple[list[str], list[str | None]]:
    """Write values.csv, values.json and values.parquet as the rows come.

    Returns the rows' lines of the main table's data, and of each row why it has none.
    """
    table: list[str] = []
    failed: list[str | None] = []
    with (
        (out / "values.csv").open("w", encoding="utf-8") as csv_file,
        (out / "values.json").open("w", encoding="utf-8") as json_file,
    ):
        csv_file.write(",".join(header) + "\n")
        end = "[\n"
        for row in rows:
            failed.append(row if isinstance(row, str) else None)
            if isinstance(row, str):
                continue
            csv_file.write(row.csv)
            json_file.write(end + row.json if row.json else "")
            end = ",\n" if row.json else end
            table.append(row.table)
        json_file.write("\n]\n")
    _write_parquet(out / "values.csv", out / "values.parquet")
    return table, failed


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
