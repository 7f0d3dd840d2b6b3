"""Tables beside a record as Parquet, without pandas: loading it costs more than the tables do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.core.outcomes import COLUMNS, PER_IMAGE, WORDS, Outcomes, RowOutcomes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Table = Mapping[str, Any] | pd.DataFrame

MAX_BYTES = 256 * 2**20
MAX_ROWS = 20_000_000


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """A table's columns; raises UserError when the file is missing, too large or damaged."""
    import pyarrow as pa

    try:
        with _opened(path) as file:
            table = file.read(use_threads=False)
            return {name: _numpy(table[name]) for name in table.column_names}
    except (OSError, ValueError, pa.ArrowException) as error:
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


def read_outcomes_file(path: Path) -> Outcomes:
    """The outcomes table, cut into the rows of the run.

    Raises UserError when it is missing, too large, damaged, or not the table robench writes.
    """
    import pyarrow as pa

    try:
        with _opened(path, read_dictionary=list(WORDS)) as file:
            if missing := set(COLUMNS) - set(file.schema_arrow.names):
                raise UserError(f"expected columns {', '.join(sorted(missing))} in {path.name}")
            table = file.read(list(COLUMNS), use_threads=False)
        words = {name: _coded(table[name]) for name in WORDS}
        types = {**{name: COLUMNS[name] for name in PER_IMAGE}, "eps": "float64", "valid": "bool"}
        numbers = {name: _numpy(table[name], kind) for name, kind in types.items()}
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"expected an outcomes table in {path.name}, got: {error}") from error
    codes = [code for code, _ in words.values()]
    return Outcomes(tuple(_row(words, numbers, at) for at in _blocks(codes, numbers["eps"])))


def write_outcomes_file(outcomes: Outcomes, path: Path) -> None:
    """Write the outcomes table."""
    write_columns({name: outcomes[name] for name in COLUMNS}, path)


def _names(table: Table) -> list[str]:
    return [str(name) for name in table]


def _opened(path: Path, **options: Any) -> Any:
    import pyarrow.parquet as pq

    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"expected at most {MAX_BYTES} bytes in {path.name}")
    file = pq.ParquetFile(path, pre_buffer=False, **options)
    if file.metadata.num_rows > MAX_ROWS:
        file.close()
        raise UserError(f"expected at most {MAX_ROWS} rows in {path.name}")
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
    valid = bool(numbers["valid"][at].all())
    return RowOutcomes(**named, eps=None if np.isnan(eps) else eps, **each, valid=valid)


# -- pyarrow's own conversions from and to numpy import pandas, so these go through its buffers ----


def _coded(column: Any) -> tuple[NDArray[Any], list[str]]:
    """Words as numbers, and the words that these stand for."""
    array = column.combine_chunks()
    if not hasattr(array, "dictionary"):
        raise ValueError(f"{column.type} where words should stand")
    return _numpy(array.indices), [str(word) for word in array.dictionary.to_pylist()]


def _numpy(column: Any, kind: str = "") -> NDArray[Any]:
    """An Arrow column as an array, cast to `kind`; a missing float is NaN.

    Raises ValueError for other missing values and for values that `kind` does not hold.
    """
    import pyarrow as pa

    found = column.type if not kind else pa.type_for_alias(kind)
    if pa.types.is_string(found) or pa.types.is_large_string(found):
        return np.array(column.to_pylist())
    # Arrow packs eight truths into a byte.
    stored = pa.uint8() if pa.types.is_boolean(found) else found
    array = column if column.type == stored else column.cast(stored)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    dtype = np.dtype(stored.to_pandas_dtype())
    present, values = array.buffers()
    end = array.offset + len(array)
    result = np.frombuffer(values, dtype, count=end)[array.offset :] if end else np.empty(0, dtype)
    if array.null_count:
        if dtype.kind != "f":
            raise ValueError(f"missing values among {found}")
        bits = np.unpackbits(np.frombuffer(present, np.uint8), count=end, bitorder="little")
        result = np.where(bits[array.offset :] == 1, result, np.nan).astype(dtype)
    return result != 0 if pa.types.is_boolean(found) else result


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
