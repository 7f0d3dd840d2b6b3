"""All values of all records below a folder as one table: `robench.results`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.collection.store import Collection, fill_values
from robench.collection.values import ABOUT, ENDS, NUMBERS, Forms, Words, words_of
from robench.records import store
from robench.records.shown import ShownRecord, shown
from robench.records.store import find, folders, read_outcomes, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["find", "folders", "load", "read", "read_outcomes", "read_table"]
WHOLE = ("seed", "images")
"""Columns of whole numbers."""


def load(root: str | Path) -> pd.DataFrame:
    """All values of all records below a folder: a row per value, its axes and run as columns.

    Text stands in categorical columns. Each record is read once: what it says is kept in the cache.
    An axis whose name is taken gets `axis_` before it. Raises UserError for a damaged record, and
    for a folder without any.
    """
    import pandas as pd

    places = list(folders(Path(root)))
    if not places:
        raise UserError(
            f"expected records below {str(root)!r}, got none; evaluate keeps its record there "
            f"with places=robench.Places(results={str(root)!r})"
        )
    collection = Collection.of([Path(root)])
    with collection.held():
        seen = collection.look(places)
        left = fill_values(collection, seen)
        collection.know(seen)
        if left:
            raise UserError(left[min(left)])
        table = read_rows(collection, [(at, one.digest) for at, one in enumerate(seen)])
    forms = Forms()
    found = value_columns(table, forms)
    found["path"] = replace(found["path"], words=[str(one.folder) for one in seen])
    return pd.DataFrame({name: _series(column) for name, column in found.items()}, copy=False)


def read(name: str | Path, results: str | Path = "results") -> ShownRecord:
    """One record, by its folder, the beginning of its id in `results`, or "last".

    Raises UserError where there is none.
    """
    folder = store.find(name, Path(results))
    return shown(store.read(folder), folder)


def read_rows(collection: Collection, wanted: Sequence[tuple[int, str]]) -> Any:
    """Rows of the store, an Arrow table: those of the digests, each with its place, by place."""
    import duckdb

    given = {
        "files": [str(path) for path in collection.values.paths()],
        "places": [place for place, _ in wanted],
        "digests": [digest for _, digest in wanted],
    }
    # Lists, not an Arrow table: that would load pandas.
    with duckdb.connect(config={"threads": 2}) as connection:
        asked = connection.sql(
            "with wanted as (select unnest($places) place, unnest($digests) digest, "
            "unnest(range(len($places))) line) "
            "select known.*, wanted.place from read_parquet($files) known "
            "join wanted on known.key = wanted.digest order by wanted.line",
            params=given,
        )
        return asked.to_arrow_table()


def read_configs(collection: Collection) -> dict[str, Any]:
    """The configuration of each record that the store knows, by the digest of its record.json."""
    import duckdb

    files = [str(path) for path in collection.values.paths()]
    if not files:
        return {}
    with duckdb.connect(config={"threads": 2}) as connection:
        asked = connection.sql(
            "select key, config from read_parquet($files)", params={"files": files}
        )
        return {key: json.loads(config) for key, config in asked.fetchall()}


def value_columns(table: Any, forms: Forms) -> dict[str, Any]:
    """The columns of all values of some rows of the store, and as `path` the place of their row.

    Numbers are arrays, NaN where one is missing; all else are `Words`.
    """
    codes = [forms.codes(one) for one in table["form"].to_pylist()]
    counts = np.array([len(one) for one in codes], np.int64)
    found: dict[str, Any] = {}
    for name in ABOUT:
        if name in WHOLE:
            found[name] = np.repeat(table[name].to_numpy(), counts)
        elif name in table.column_names:
            found[name] = words_of(table[name].to_pylist(), counts)
    of = forms.columns(np.concatenate(codes) if codes else np.empty(0, np.int32))
    numbers = {name: _flat(table[name]) for name in (*ENDS, "n")}
    found |= {name: numbers[name] if name in numbers else of.pop(name) for name in NUMBERS}
    places = np.repeat(table["place"].to_numpy(), counts)
    return found | of | {"path": Words(places, [])}


def _flat(column: Any) -> Any:
    """Lists one after the other."""
    array = column.combine_chunks().flatten()
    return array.to_numpy(zero_copy_only=False)


def _series(column: Any) -> Any:
    import pandas as pd

    if not isinstance(column, Words):
        return column
    kinds = {type(word) for word in column.words}
    if not kinds <= {int, float} or not kinds:
        return pd.Categorical.from_codes(column.codes, pd.Index(column.words))
    words = np.array([*column.words, np.nan])
    whole = kinds == {int} and bool((column.codes >= 0).all())
    return words[column.codes].astype("int64") if whole else words[column.codes]
