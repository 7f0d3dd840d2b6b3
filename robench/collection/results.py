"""All values of all records below a folder as one table: `robench.results`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.arrow import array, column
from robench.base.errors import UserError
from robench.base.text import one_line
from robench.collection.known import scan
from robench.collection.shards import KEY
from robench.collection.store import Collection, fill_values, read_digests
from robench.collection.values import ABOUT, COLUMNS, NUMBERS, Forms, Words, repeated, words_of
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
ABOUT_RECORDS = [name for name in ABOUT if name in COLUMNS]
"""What a record says of each of its values."""
BLOCK = 10_000
"""Records whose lists of numbers are brought into their order at once."""
Reader = Callable[[str], Any]
"""Gives a column of the store by its name, as Arrow has it."""


def load(root: str | Path) -> pd.DataFrame:
    """All values of all records below a folder: a row per value, its axes and run as columns.

    The headline, which is computed of a record and its tables, is none of them: `read` has it.
    Text stands in categorical columns. Each record is read once: what it says is kept in the cache.
    An axis whose name is taken gets `axis_` before it. A record that is damaged, or whose numbers
    no column holds, is left out and named in a warning. Raises UserError where none is left.
    """
    import pandas as pd

    root = _path(root)
    collection = Collection.of([root])
    with collection.held():
        paths, read = _known(collection, root)
        # One column at a time: a hundred thousand records have two million values.
        columns, counts = value_columns(read, ABOUT_RECORDS, Forms())
        made = {name: _series(column) for name, column in columns}
    made["path"] = _series(repeated(range(len(paths)), paths, counts))
    return pd.DataFrame(made, copy=False)


def _path(given: object) -> Path:
    """A folder as it was given; raises UserError for what is no path."""
    if isinstance(given, (str, Path)):
        return Path(given)
    raise UserError(f"expected a folder as text or a Path, got {one_line(repr(given))[:80]}")


def _known(collection: Collection, root: Path) -> tuple[pd.Index[str], Reader]:
    """Folders of the records below a root, sorted, and what reads the columns kept of them."""
    import pandas as pd

    every = scan(root, sys.maxsize) if root.is_dir() else ()
    found = sorted(every, key=lambda one: one.folder.parts)
    if not found:
        raise UserError(
            f"expected records below {str(root)!r}, got none; evaluate keeps its record there "
            f"with places=robench.Places(results={str(root)!r})"
        )
    seen = read_digests(collection.recall(found))
    left = fill_values(collection, seen)
    collection.know(seen)
    for folder, why in sorted(left.items()):
        warnings.warn(f"left out {folder}: {one_line(why)}", stacklevel=3)
    kept = [one for one in seen if one.folder not in left]
    if not kept:
        raise UserError(left[min(left)])
    paths = pd.Index([str(one.folder) for one in kept])
    return paths, _reader(collection, [one.digest for one in kept])


def read(name: str | Path, results: str | Path = "results") -> ShownRecord:
    """One record, by its folder, the beginning of its id in `results`, or "last".

    Raises UserError where there is none.
    """
    folder = store.find(_path(name), _path(results))
    return shown(store.read(folder), folder)


def _reader(collection: Collection, digests: Sequence[str]) -> Reader:
    """Reads columns of the store: of the rows of these digests, in their order."""
    import pyarrow as pa

    keys = (key for _, table in collection.values.tables(()) for key in table[KEY].to_pylist())
    places = {key: place for place, key in enumerate(keys)}
    order = [places[one] for one in digests]
    blocks = [column(order[at : at + BLOCK], pa.int64()) for at in range(0, len(order), BLOCK)]

    def read(name: str) -> Any:
        tables = (table.select([name]) for _, table in collection.values.tables([name]))
        whole = pa.concat_tables(tables).unify_dictionaries()[name].combine_chunks()
        return pa.chunked_array([whole.take(block) for block in blocks])

    return read


def read_configs(collection: Collection) -> dict[str, Any]:
    """The configuration of each record that the store knows, by the digest of its record.json."""
    return {
        key: json.loads(config)
        for _, columns in collection.values.read(["config"])
        for key, config in zip(columns[KEY], columns["config"], strict=True)
    }


def value_columns(
    read: Reader, about: Iterable[str], forms: Forms
) -> tuple[Iterator[tuple[str, Any]], NDArray[np.int64]]:
    """The columns of all values of some rows of the store, one after the other, and how many values
    each row has.

    `about` names those that say something of the record. Numbers are arrays, NaN where one is
    missing; all else are `Words`.
    """
    codes = form_codes(read("form"), forms)
    counts = np.array([len(one) for one in codes], np.int64)
    of = forms.columns(np.concatenate(codes) if codes else np.empty(0, np.int32))
    return _columns(read, about, counts, of), counts


def _columns(
    read: Reader, about: Iterable[str], counts: NDArray[np.int64], of: dict[str, Words]
) -> Iterator[tuple[str, Any]]:
    """`of` says what the values are of."""
    import pyarrow as pa

    for name in about:
        if name in WHOLE:
            yield name, np.repeat(array(read(name)), counts)
        else:
            yield name, words_of(read(name).to_pylist(), counts)
    for name in NUMBERS:
        yield name, of.pop(name) if name in of else _flat(read(name))
        pa.default_memory_pool().release_unused()
    yield from of.items()


def form_codes(column: Any, forms: Forms) -> list[NDArray[np.int32]]:
    """Of each row what its values are; the few different texts are long, so each is read once."""
    coded = column.combine_chunks()
    at = coded.indices.to_pylist()
    known = {place: forms.codes(coded.dictionary[place].as_py()) for place in dict.fromkeys(at)}
    return [known[place] for place in at]


def _flat(column: Any) -> Any:
    """Lists one after the other; numbers of which some are missing are no whole ones."""
    import pyarrow as pa

    parts = [one.flatten() for one in column.chunks]
    kind = pa.float64() if any(one.null_count for one in parts) else column.type.value_type
    found, end = np.empty(sum(map(len, parts)), kind.to_pandas_dtype()), 0
    for one in parts:
        found[end : end + len(one)] = array(one.cast(kind))
        end += len(one)
    return found


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
