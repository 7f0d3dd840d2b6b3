"""All values of all records below a folder as one table: `robench.results`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.arrow import array, column
from robench.base.errors import UserError
from robench.base.text import one_line
from robench.collection.known import scan
from robench.collection.shards import KEY
from robench.collection.store import Collection, fill_values, read_digests
from robench.collection.values import ABOUT, COLUMNS, ENDS, NUMBERS, Forms, Words, words_of
from robench.records import store
from robench.records.shown import ShownRecord, shown
from robench.records.store import find, folders, read_outcomes, read_table

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["find", "folders", "load", "read", "read_outcomes", "read_table"]
ASKED = [name for name in COLUMNS if name != "config"]
"""Columns of the store that say something of values."""
WHOLE = ("seed", "images")
"""Columns of whole numbers."""


def load(root: str | Path) -> pd.DataFrame:
    """All values of all records below a folder: a row per value, its axes and run as columns.

    Text stands in categorical columns. Each record is read once: what it says is kept in the cache.
    An axis whose name is taken gets `axis_` before it. A record that is damaged, or whose numbers
    no column holds, is left out and named in a warning. Raises UserError where none is left.
    """
    import pandas as pd

    every = scan(Path(root), sys.maxsize) if Path(root).is_dir() else ()
    found = sorted(every, key=lambda one: one.folder.parts)
    if not found:
        raise UserError(
            f"expected records below {str(root)!r}, got none; evaluate keeps its record there "
            f"with places=robench.Places(results={str(root)!r})"
        )
    collection = Collection.of([Path(root)])
    with collection.held():
        seen = read_digests(collection.recall(found))
        left = fill_values(collection, seen)
        collection.know(seen)
        for folder, why in sorted(left.items()):
            warnings.warn(f"left out {folder}: {one_line(why)}", stacklevel=2)
        seen = [one for one in seen if one.folder not in left]
        if not seen:
            raise UserError(left[min(left)])
        table = read_rows(collection, [one.digest for one in seen])
    columns, counts = value_columns(table, Forms())
    places = np.repeat(np.arange(len(seen), dtype=np.int32), counts)
    columns["path"] = Words(places, [str(one.folder) for one in seen])
    return pd.DataFrame({name: _series(column) for name, column in columns.items()}, copy=False)


def read(name: str | Path, results: str | Path = "results") -> ShownRecord:
    """One record, by its folder, the beginning of its id in `results`, or "last".

    Raises UserError where there is none.
    """
    folder = store.find(name, Path(results))
    return shown(store.read(folder), folder)


def read_rows(collection: Collection, digests: Sequence[str]) -> Any:
    """Rows of the store, an Arrow table: those of the digests, in their order."""
    import pyarrow as pa

    every = [table for _, table in collection.values.tables(ASKED)]
    table = pa.concat_tables(every).unify_dictionaries()
    places = {key: place for place, key in enumerate(table[KEY].to_pylist())}
    return table.take(column([places[one] for one in digests], pa.int64()))


def read_configs(collection: Collection) -> dict[str, Any]:
    """The configuration of each record that the store knows, by the digest of its record.json."""
    return {
        key: json.loads(config)
        for _, columns in collection.values.read(["config"])
        for key, config in zip(columns[KEY], columns["config"], strict=True)
    }


def value_columns(table: Any, forms: Forms) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """The columns of all values of some rows of the store, and how many values each row has.

    Numbers are arrays, NaN where one is missing; all else are `Words`.
    """
    codes = form_codes(table["form"], forms)
    counts = np.array([len(one) for one in codes], np.int64)
    found: dict[str, Any] = {}
    for name in ABOUT:
        if name in WHOLE:
            found[name] = np.repeat(array(table[name]), counts)
        elif name in table.column_names:
            found[name] = words_of(table[name].to_pylist(), counts)
    of = forms.columns(np.concatenate(codes) if codes else np.empty(0, np.int32))
    numbers = {name: _flat(table[name]) for name in (*ENDS, "n")}
    found |= {name: numbers[name] if name in numbers else of.pop(name) for name in NUMBERS}
    return found | of, counts


def form_codes(column: Any, forms: Forms) -> list[NDArray[np.int32]]:
    """Of each row what its values are; the few different texts are long, so each is read once."""
    coded = column.combine_chunks()
    at = coded.indices.to_pylist()
    known = {place: forms.codes(coded.dictionary[place].as_py()) for place in dict.fromkeys(at)}
    return [known[place] for place in at]


def _flat(column: Any) -> Any:
    """Lists one after the other; numbers of which some are missing are no whole ones."""
    flat = column.combine_chunks().flatten()
    return array(flat.cast("float64") if flat.null_count else flat)


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
