"""All values as CSV, JSON and Parquet: what `robench.results.load` gives as a frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from robench.record import Record
from robench.results import CHOSEN, value_rows

ABOUT = ("record", "status", "seed", "images", "protocol", *CHOSEN)
NUMBERS = ("metric", "value", "low", "high", "n", "unit", "better")


def axis_names(record: Record) -> set[str]:
    """The axes that a record's values have."""
    return {name for row in value_rows(record) for name in row} - {*ABOUT, *NUMBERS}


def header(axes: Iterable[str]) -> list[str]:
    """The columns of every table of values."""
    return [*ABOUT, *NUMBERS, *sorted(axes)]


def csv_lines(record: Record, columns: Sequence[str]) -> str:
    """A record's values as CSV, without the header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writerows(
        {name: _plain(value) for name, value in row.items()} for row in value_rows(record)
    )
    return text.getvalue()


def _plain(value: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if isinstance(value, str) and value[:1] in tuple("=+-@\t\r"):
        return "'" + value
    return repr(value) if isinstance(value, float) else value


def write_parquet(table: Path, out: Path) -> None:
    """The CSV of all values as Parquet; numbers are numbers, empty cells are null."""
    import pyarrow.csv
    import pyarrow.parquet

    words = ("record", "status", "protocol", *CHOSEN, "metric", "unit", "better")
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(words, pyarrow.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = pyarrow.csv.read_csv(table, convert_options=convert)
    pyarrow.parquet.write_table(read, out)


def write_json(table: Path, out: Path) -> None:
    """The CSV of all values as a JSON list, one object a line, empty cells left out."""
    import pyarrow.parquet

    with out.open("w", encoding="utf-8") as file:
        file.write("[")
        end = "\n"
        for batch in pyarrow.parquet.ParquetFile(table).iter_batches():
            for row in batch.to_pylist():
                kept = {name: value for name, value in row.items() if value is not None}
                file.write(end + json.dumps(kept, ensure_ascii=False))
                end = ",\n"
        file.write("\n]\n")
