"""All values of all records below a folder as one table: `robench.results`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.parallel import workers
from robench.collection.store import Collection, fill_values
from robench.collection.values import ABOUT, ENDS, NUMBERS, Forms, Words, words_of
from robench.records.store import folders

if TYPE_CHECKING:
    import pandas as pd

WANTED = "digest", "path"


def load(root: str | Path) -> pd.DataFrame:
    """All values of all records below a folder: a row per value, its axes and run as columns.

    Text stands in categorical columns. Each record is read once: what it says is kept in the cache.
    An axis whose name is taken gets `axis_` before it. Raises UserError for a damaged record.
    """
    import pandas as pd

    places = list(folders(Path(root)))
    if not places:
        return pd.DataFrame()
    collection = Collection.of([Path(root)])
    seen = collection.look(places)
    with workers(len(seen)) as each:
        fill_values(collection, seen, each)
    collection.know(seen)
    found = read_values(collection, {str(one.folder): one.digest for one in seen})
    return pd.DataFrame({name: _series(column) for name, column in found.items()}, copy=False)


def read_values(collection: Collection, wanted: Mapping[str, str]) -> dict[str, Any]:
    """The columns of all values of records that the store knows; `wanted` maps path to digest.

    Numbers are arrays, NaN where one is missing; text is `Words`.
    """
    import pyarrow as pa

    paths, digests = list(wanted), list(wanted.values())
    order = pa.table({"place": range(len(paths)), "digest": digests})
    table = _query(collection, order)
    forms, path = Forms(), np.array(paths)[table["place"].to_numpy()]
    codes = [forms.codes(one) for one in table["form"].to_pylist()]
    counts = np.array([len(one) for one in codes], np.int64)
    found: dict[str, Any] = {}
    for name in ABOUT:
        if name in ("seed", "images"):
            found[name] = np.repeat(table[name].to_numpy(), counts)
        elif name != "level":
            found[name] = words_of(table[name].to_pylist(), counts)
    of = forms.columns(np.concatenate(codes) if codes else np.empty(0, np.int32))
    numbers = {name: _flat(table[name]) for name in (*ENDS, "n")}
    found |= {name: numbers[name] if name in numbers else of.pop(name) for name in NUMBERS}
    return found | of | {"path": words_of(path.tolist(), counts)}


def _query(collection: Collection, order: Any) -> Any:
    """The wanted rows of the store, in their order, as an Arrow table."""
    import duckdb

    files = [str(path) for path in collection.values.paths()]
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.register("wanted", order)
        asked = connection.execute(
            "select known.*, wanted.place from read_parquet($files) known "
            "join wanted on known.key = wanted.digest order by wanted.place",
            {"files": files},
        )
        return asked.to_arrow_table()


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
