"""All values of all rows as one Parquet file: what `robench.results.load` gives as a frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robench.collection.results import read_rows, value_columns
from robench.collection.store import Collection
from robench.collection.values import ABOUT, COLUMNS, NUMBERS, Forms, Words
from robench.leaderboard.table.row import BoardRow

BLOCK = 10_000
"""Rows of the page whose values are in memory at once."""


def values_file(
    collection: Collection,
    rows: Sequence[BoardRow],
    digests: Mapping[str, str],
    told: Mapping[str, str],
) -> bytes:
    """The file, rows in their order.

    `digests` are those of each record.json, by content; `told` has, by row, as JSON the rows of
    the store that stand for the records of a row whose numbers moved.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    forms, sink = Forms(), pa.BufferOutputStream()
    for table in _blocks(collection, rows, digests, told):
        for form in table["form"].unique().to_pylist():
            forms.codes(form)
    axes = sorted(forms.axes())
    writer = None
    for table in _blocks(collection, rows, digests, told):
        found = value_columns(table, forms)
        made = pa.table({name: _arrow(name, found[name]) for name in (*ABOUT, *NUMBERS, *axes)})
        if writer is None:
            # Without Arrow's own schema text is read as text.
            writer = pq.ParquetWriter(sink, made.schema, compression="zstd", store_schema=False)
        writer.write_table(made)
    if writer is not None:
        writer.close()
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _blocks(
    collection: Collection,
    rows: Sequence[BoardRow],
    digests: Mapping[str, str],
    told: Mapping[str, str],
) -> Iterator[Any]:
    """Rows of the store, in the order of the page's, each with its row's level."""
    import pyarrow as pa

    for first in range(0, len(rows), BLOCK):
        wanted, moved = list[tuple[int, str]](), list[dict[str, Any]]()
        some = rows[first : first + BLOCK]
        for place, row in enumerate(some):
            if row.id in told:
                moved += [{**one, "place": place} for one in json.loads(told[row.id])]
            else:
                wanted += [(place, digests[content]) for content in row.contents]
        table = read_rows(collection, wanted).select([*COLUMNS, "place"])
        if moved:
            more = pa.Table.from_pylist(moved, schema=table.schema)
            table = pa.concat_tables([table, more]).sort_by("place")
        levels = [some[place].proof.level for place in table["place"].to_pylist()]
        yield table.append_column("level", pa.array(levels, pa.string()))


def _arrow(name: str, column: Any) -> Any:
    """A column as Arrow has it; what is missing is null, and so is an empty text."""
    import pyarrow as pa

    if not isinstance(column, Words):
        if column.dtype.kind != "f":
            return pa.array(column)
        missing: Any = np.isnan(column)
        whole = np.where(missing, 0, column).astype("int64") if name == "n" else column
        return pa.array(whole, mask=missing)
    kinds = {type(word) for word in column.words}
    empty = [place for place, word in enumerate(column.words) if word == ""]
    codes = pa.array(column.codes, mask=np.isin(column.codes, [-1, *empty]))
    if kinds and kinds <= {int, float}:
        return pa.array(column.words, pa.int64() if kinds == {int} else pa.float64()).take(codes)
    words = pa.array([str(word) for word in column.words], pa.string())
    return pa.DictionaryArray.from_arrays(codes, words)
