"""Tables beside a record as Parquet, without pandas: loading it costs more than the tables do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.files import read_plain
from robench.core.outcomes import COLUMNS, PER_IMAGE, WORDS, Outcomes, RowOutcomes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Table = Mapping[str, Any] | pd.DataFrame

MAX_BYTES = 256 * 2**20
MAX_EXPANDED = 2**30
"""Bytes of a table's columns at most, expanded as the file says."""
MAX_ROWS = 20_000_000
MAX_COLUMNS = 200
NUMBERS = {name: COLUMNS[name] for name in (*PER_IMAGE, "eps", "valid")}
"""The types of the outcomes table's columns that are no words."""


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """A table's columns; raises UserError when the file is missing, too large or damaged."""
    try:
        return dict(_columns(path, _about(path)))
    except OSError as error:
        raise UserError(f"expected a table at {path}, got: {error}") from error


def _about(path: Path) -> tuple[int, ...]:
    about = os.stat(path)
    return about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


@lru_cache(2)
def _columns(path: Path, about: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """The columns, read-only: a record's checks and its row read the same table, one by one."""
    import pyarrow as pa

    try:
        table = _opened(path, MAX_ROWS).read(use_threads=False)
        found = {name: _numpy(table[name]) for name in table.column_names}
        for column in found.values():
            column.flags.writeable = False
        return found
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"expected a table at {path}, got: {error}") from error


def write_columns(table: Table, path: Path) -> None:
    """Write a mapping of columns, or a pandas frame, all columns of one length."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: _arrow(table[name]) for name in _names(table)}
    pq.write_table(pa.Table.from_arrays(list(columns.values()), names=list(columns)), path)


def plain_columns(table: Table) -> dict[str, list[Any]]:
    """A table's columns as lists of plain numbers and words."""
    return {name: np.asarray(table[name]).tolist() for name in _names(table)}


def read_outcomes_file(path: Path, rows: int = MAX_ROWS) -> Outcomes:
    """The outcomes table of at most so many rows, cut into the rows of the run.

    Raises UserError when it is missing, too large, damaged, or not the table robench writes.
    """
    import pyarrow as pa

    try:
        file = _opened(path, rows, read_dictionary=list(WORDS))
        if missing := set(COLUMNS) - set(file.schema_arrow.names):
            raise UserError(f"expected columns {', '.join(sorted(missing))} in {path.name}")
        table = file.read(list(COLUMNS), use_threads=False)
        words = {name: _coded(table[name]) for name in WORDS}
        numbers = {name: _numpy(table[name], kind) for name, kind in NUMBERS.items()}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"expected an outcomes table in {path.name}, got: {error}") from error
    codes = [code for code, _ in words.values()]
    return Outcomes(tuple(_row(words, numbers, at) for at in _blocks(codes, numbers["eps"])))


def write_outcomes_file(outcomes: Outcomes, path: Path) -> None:
    """Write the outcomes table."""
    write_columns({name: outcomes[name] for name in COLUMNS}, path)


def _names(table: Table) -> list[str]:
    return [str(name) for name in table]


def _opened(path: Path, rows: int, **options: Any) -> Any:
    """The file, once its own account of itself says that it fits into memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Arrow asks a Python file for every piece of it, which takes longer than reading it once.
    data = pa.BufferReader(read_plain(path, MAX_BYTES))
    file = pq.ParquetFile(data, pre_buffer=False, **options)
    about = file.metadata
    groups = (about.row_group(i) for i in range(about.num_row_groups))
    expanded = sum(abs(group.total_byte_size) for group in groups)
    sizes = {
        "rows": (about.num_rows, rows),
        "columns": (about.num_columns, MAX_COLUMNS),
        "groups of rows": (about.num_row_groups, max(rows, 1)),
        "bytes, expanded,": (expanded, MAX_EXPANDED),
    }
    for what, (found, most) in sizes.items():
        if found > most:
            raise UserError(f"expected at most {most} {what} in {path.name}, got {found}")
    return file


def _blocks(codes: list[NDArray[Any]], eps: NDArray[np.float64]) -> Iterator[slice]:
    """Where each row of the run begins and ends; robench writes them one after the other."""
    if len(eps) == 0:
        raise UserError("expected outcomes, got an empty table")
    starts = (eps[1:] != eps[:-1]) & ~(np.isnan(eps[1:]) & np.isnan(eps[:-1]))
    for column in codes:
        starts |= column[1:] != column[:-1]
    edges = [0, *(np.flatnonzero(starts) + 1).tolist(), len(eps)]
    return (slice(a, b) for a, b in pairwise(edges))


def _row(
    words: Mapping[str, tuple[NDArray[Any], list[str]]],
    numbers: Mapping[str, NDArray[Any]],
    at: slice,
) -> RowOutcomes:
    named: dict[str, Any] = {name: names[codes[at.start]] for name, (codes, names) in words.items()}
    eps = float(numbers["eps"][at.start])
    each: dict[str, Any] = {name: numbers[name][at] for name in PER_IMAGE}
    valid = numbers["valid"][at]
    if valid.any() != valid.all():
        raise UserError(f"expected {named['attack']} to be valid for all images or for none")
    eps_or_none = None if np.isnan(eps) else eps
    return RowOutcomes(**named, eps=eps_or_none, **each, valid=bool(valid.all()))


# -- pyarrow's own conversions from and to numpy import pandas, so these go through its buffers ----


def _coded(column: Any) -> tuple[NDArray[Any], list[str]]:
    """Words as numbers, and the words that these stand for."""
    array = column.combine_chunks()
    if not hasattr(array, "dictionary") or not _is_word(array.type.value_type):
        raise ValueError(f"{column.type} where words should stand")
    return _numpy(array.indices), [str(word) for word in array.dictionary.to_pylist()]


def _numpy(column: Any, kind: str = "") -> NDArray[Any]:
    """An Arrow column as an array, cast to `kind`; a missing float is NaN.

    Raises ValueError for a column of another type (words or lists where numbers should stand),
    for other missing values and for values that `kind` does not hold.
    """
    stored, dtype, truths = _how(column.type, kind)
    if dtype is None:
        return _texts(column)
    array = column if column.type == stored else column.cast(stored)
    array = array.combine_chunks() if hasattr(array, "chunks") else array
    present, values = array.buffers()
    end = array.offset + len(array)
    if not end:
        return np.empty(0, bool if truths else dtype)
    if truths:
        if array.null_count:
            raise ValueError(f"missing values among {stored}")
        return _truths(values, end)[array.offset :]
    result = np.frombuffer(values, dtype, count=end)[array.offset :]
    if array.null_count:
        if dtype.kind != "f":
            raise ValueError(f"missing values among {stored}")
        result = np.where(_truths(present, end)[array.offset :], result, np.nan).astype(dtype)
    return result


def _texts(column: Any) -> NDArray[Any]:
    """Words as numpy has them, None where one is missing; few are different: each is read once."""
    if column.null_count or not len(column):
        return np.array(column.to_pylist())
    array = column.dictionary_encode().combine_chunks()
    texts: NDArray[Any] = np.array(array.dictionary.to_pylist())[_numpy(array.indices)]
    return texts


def _truths(buffer: Any, count: int) -> NDArray[np.bool_]:
    """Arrow packs eight of them into a byte."""
    bits = np.unpackbits(np.frombuffer(buffer, np.uint8), count=count, bitorder="little")
    return bits.view(bool)


@lru_cache
def _how(kind: Any, wanted: str) -> tuple[Any, Any, bool]:
    """For a column's type and the wanted one: Arrow's type, numpy's (None of words), and whether
    these are truths; raises ValueError where the column is of another kind than wanted."""
    import pyarrow as pa

    found = pa.type_for_alias(wanted) if wanted else kind
    if _is_word(found) and not wanted:
        return found, None, False
    if _family(kind) != _family(found):
        raise ValueError(f"{kind} where {found} should stand")
    return found, np.dtype(found.to_pandas_dtype()), bool(pa.types.is_boolean(found))


def _is_word(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _family(kind: Any) -> str:
    """Whole numbers, numbers or truths; raises ValueError for any other type."""
    import pyarrow as pa

    families = {
        "int": pa.types.is_integer(kind),
        "float": pa.types.is_floating(kind),
        "bool": pa.types.is_boolean(kind),
    }
    for name, holds in families.items():
        if holds:
            return name
    raise ValueError(f"{kind} where numbers should stand")


def _arrow(values: Any) -> Any:
    """A column as an Arrow array; NaN is missing."""
    import pyarrow as pa

    array = np.asarray(values)
    if array.dtype.kind in "iuf" and array.dtype.isnative:
        missing = np.isnan(array) if array.dtype.kind == "f" else None
        present = None if missing is None or not missing.any() else _bits(~missing)
        kind = pa.from_numpy_dtype(array.dtype)
        data = pa.py_buffer(np.ascontiguousarray(array))
        return pa.Array.from_buffers(kind, len(array), [present, data])
    if array.dtype.kind == "b":
        return pa.Array.from_buffers(pa.bool_(), len(array), [None, _bits(array)])
    if array.dtype.kind == "U":
        return _words(array)
    return pa.array(list(values), from_pandas=True)


def _words(array: NDArray[Any]) -> Any:
    """Words as Arrow strings; few of them are different, so each is written down once."""
    import pyarrow as pa

    names, codes = np.unique(array, return_inverse=True)
    texts = [str(name).encode() for name in names]
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    dictionary = pa.Array.from_buffers(pa.string(), len(texts), buffers)
    at = pa.py_buffer(codes.astype(np.int32))
    indices = pa.Array.from_buffers(pa.int32(), len(codes), [None, at])
    return pa.DictionaryArray.from_arrays(indices, dictionary).cast(pa.string())


def _bits(truths: NDArray[np.bool_]) -> Any:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(truths, bitorder="little"))
