"""All values of all rows as one Parquet file: what `robench.results.load` gives as a frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robench.base.arrow import column, numbers
from robench.collection.results import ASKED, form_codes, value_columns
from robench.collection.shards import KEY
from robench.collection.store import Collection
from robench.collection.values import ABOUT, NUMBERS, Forms, Words
from robench.leaderboard.table.row import BoardRow

LEVEL = "level"
BLOCK = 2_000
"""Records whose values are in memory at once, at least."""


def values_file(
    collection: Collection,
    rows: Iterable[BoardRow],
    digests: Mapping[str, str],
    told: Mapping[str, str],
) -> bytes:
    """The file, in the order of the store.

    `digests` are those of each record.json, by content; `told` has, by row, as JSON the rows of
    the store that stand for the records of a row whose numbers moved.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    levels: dict[str, list[str]] = {}
    moved: list[dict[str, str]] = []
    for row in rows:
        if row.id in told:
            moved += [{**one, LEVEL: row.proof.level} for one in json.loads(told[row.id])]
            continue
        for content in row.contents:
            levels.setdefault(digests[content], []).append(row.proof.level)
    forms, sink = Forms(), pa.BufferOutputStream()
    for table in _blocks(collection, levels, moved, ["form"]):
        form_codes(table["form"], forms)
    axes = sorted(forms.axes())
    writer = None
    for table in _blocks(collection, levels, moved, ASKED):
        columns, _ = value_columns(table.column, ABOUT, forms)
        found = dict(columns)
        made = pa.table({name: _arrow(name, found[name]) for name in (*ABOUT, *NUMBERS, *axes)})
        if writer is None:
            # Without Arrow's own schema text is read as text.
            writer = pq.ParquetWriter(sink, made.schema, compression="zstd", store_schema=False)
        writer.write_table(made)
    if writer is not None:
        writer.close()
    data: bytes = sink.getvalue().to_pybytes()
    pa.default_memory_pool().release_unused()  # what follows is made without Arrow
    return data


def _blocks(
    collection: Collection,
    levels: Mapping[str, Sequence[str]],
    moved: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
) -> Iterator[Any]:
    """Columns of the wanted rows of the store, each with its level; the moved ones come last."""
    import pyarrow as pa

    waiting: list[Any] = []
    schema: Any = None
    for _, table in collection.values.tables(columns):
        keys = table[KEY].to_pylist()
        wanted = [(place, one) for place, key in enumerate(keys) for one in levels.get(key, ())]
        if (places := [place for place, _ in wanted]) != list(range(len(keys))):
            table = table.take(column(places, pa.int64()))
        its = column([one for _, one in wanted], pa.string())
        waiting.append(table.drop([KEY]).append_column(LEVEL, its))
        schema = waiting[-1].schema
        if sum(map(len, waiting)) >= BLOCK:
            yield pa.concat_tables(waiting).unify_dictionaries()
            waiting = []
    if moved:
        its = [column([one.get(field.name) for one in moved], field.type) for field in schema]
        waiting.append(pa.Table.from_arrays(its, schema=schema))
    if waiting:
        yield pa.concat_tables(waiting).unify_dictionaries()


def _arrow(name: str, found: Any) -> Any:
    """A column as Arrow has it; what is missing is null, and so is an empty text."""
    import pyarrow as pa

    if not isinstance(found, Words):
        if found.dtype.kind != "f":
            return numbers(found)
        missing: Any = np.isnan(found)
        whole = np.where(missing, 0, found).astype("int64") if name == "n" else found
        return numbers(whole, missing)
    kinds = {type(word) for word in found.words}
    empty = [place for place, word in enumerate(found.words) if word == ""]
    codes = numbers(found.codes, np.isin(found.codes, [-1, *empty]))
    if kinds and kinds <= {int, float}:
        return column(list(found.words), pa.int64() if kinds == {int} else pa.float64()).take(codes)
    words = column([str(word) for word in found.words], pa.string())
    return pa.DictionaryArray.from_arrays(codes, words)
