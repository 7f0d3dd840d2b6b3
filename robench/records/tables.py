"""Tables beside a record as Parquet, without pandas: loading it costs more than the tables do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.arrow import array, column, is_word, numbers
from robench.base.errors import UserError
from robench.base.files import About, about_file, read_plain
from robench.base.stats import count
from robench.core.outcomes import COLUMNS, PER_IMAGE, WORDS, Outcomes, RowOutcomes, fixed

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Table = Mapping[str, Any] | pd.DataFrame
    Columns = dict[str, NDArray[Any]]
    Words = Mapping[str, tuple[NDArray[Any], list[str]]]
    """By column its places among words, and these."""

MAX_BYTES = 256 * 2**20
MAX_EXPANDED = 2**30
"""Bytes of a table's columns at most, expanded as the file says."""
FEW, DENSE = 2**26, 100
"""Of a small file these many bytes at most, and of a large one so many for each byte of it: whoever
makes a reader take memory has to send some."""
MAX_ACCOUNT = 2**20
"""Bytes of a file's account of itself at most: Arrow takes twenty times as many for it."""
MAX_ROWS = 20_000_000
MAX_COLUMNS = 200
CELL = 8
"""Bytes of a number, or of a word's place, at most."""
VALUES = """
import sys
from pyarrow.parquet import ParquetFile
about = ParquetFile(sys.argv[1]).metadata
groups = [about.row_group(i) for i in range(about.num_row_groups)]
print(sum(group.column(i).num_values for group in groups for i in range(about.num_columns)))
"""
TEXT, WIDE = "BYTE_ARRAY", ("FIXED_LEN_BYTE_ARRAY", "INT96")
"""How Parquet calls what words are stored as, and what no column of ours is."""
NUMBERS = {name: COLUMNS[name] for name in (*PER_IMAGE, "eps", "valid")}
"""The types of the outcomes table's columns that are no words."""
EARLY_COLUMNS: dict[tuple[Path, About], Columns] = {}
EARLY_OUTCOMES: dict[tuple[Path, About], Outcomes] = {}
"""What `lots.read_together` read, by file and what the disk said of it."""


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """A table's columns; raises UserError when the file is missing, too large or damaged."""
    try:
        about = about_file(path)
        early = EARLY_COLUMNS.get((path, about))
        return dict(_columns(path, about) if early is None else early)
    except OSError as error:
        raise UserError(f"expected a table at {path}, got: {error}") from error


@lru_cache(2)
def _columns(path: Path, about: About) -> dict[str, NDArray[Any]]:
    """The columns, read-only: a record's checks and its row read the same table, one by one."""
    import pyarrow as pa

    try:
        table = arrow_columns(path, MAX_ROWS)
        return {name: fixed(array(table[name])) for name in table.column_names}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"expected a table at {path}, got: {error}") from error


def arrow_columns(path: Path, rows: int) -> Any:
    """A table of at most so many rows as Arrow has it, words as places in a dictionary; raises
    whatever is wrong with it."""
    return _read(_opened(path, rows), path, rows)


def read_frame(path: Path) -> pd.DataFrame:
    """A table of any columns as a pandas frame; raises UserError when it is missing, too large or
    damaged."""
    import pyarrow as pa

    try:
        file = _opened(path, MAX_ROWS, nested=True)
        frame: pd.DataFrame = file.read(use_threads=False).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(f"expected a table at {path}, got: {error}") from error
    coded = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys(coded, object))


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
        early = EARLY_OUTCOMES.get((path, about_file(path)))
        if early is not None and sum(map(len, early.rows)) <= rows:
            return early
        table = arrow_outcomes(path, rows)
        words = {name: coded(table[name].combine_chunks()) for name in WORDS}
        numbers = {name: array(table[name], kind) for name, kind in NUMBERS.items()}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"expected an outcomes table in {path.name}, got: {error}") from error
    return Outcomes(tuple(run_rows(words, numbers)))


def arrow_outcomes(path: Path, rows: int) -> Any:
    """The same as Arrow has it, words as places in a dictionary; raises whatever is wrong."""
    file = _opened(path, rows, WORDS)
    if missing := set(COLUMNS) - set(file.schema_arrow.names):
        raise UserError(f"expected columns {', '.join(sorted(missing))} in {path.name}")
    return _read(file, path, rows, list(COLUMNS))


def write_outcomes_file(outcomes: Outcomes, path: Path) -> None:
    """Write the outcomes table."""
    write_columns({name: outcomes[name] for name in COLUMNS}, path)


def _names(table: Table) -> list[str]:
    return [str(name) for name in table]


def _opened(path: Path, rows: int, words: Sequence[str] = (), *, nested: bool = False) -> Any:
    """The file, once its own account of itself says that it fits into memory.

    What is stored as text is read as places in a dictionary: a column of one text, however long,
    is a few bytes of the file. `words` are columns that are known to be. Raises ValueError, unless
    `nested`, for columns that hold neither numbers nor words.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Arrow asks a Python file for every piece of it, which takes longer than reading it once.
    data = read_plain(path, MAX_BYTES)
    account = int.from_bytes(data[-8:-4], "little")
    if MAX_ACCOUNT < account < len(data):
        raise UserError(
            f"expected an account of at most {MAX_ACCOUNT} bytes in {path.name}, got {account}"
        )
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, read_dictionary=list(words))
    _check_size(file.metadata, path, rows, min(MAX_EXPANDED, FEW + DENSE * len(data)))
    # `file.schema` would be held by its metadata, and hold it: left to whoever looks for cycles.
    schema = pq.ParquetSchema(file.metadata)
    columns = [schema.column(i) for i in range(file.metadata.num_columns)]
    flat = [one for one in columns if not one.max_repetition_level]
    if not nested and (strange := [one for one in columns if not _is_plain(one)]):
        raise ValueError(f"{strange[0].path} where numbers should stand")
    if len(flat) < len(columns) and (found := _values(path)) * CELL > MAX_EXPANDED:
        raise UserError(
            f"expected at most {MAX_EXPANDED // CELL} values in {path.name}, got {found}"
        )
    texts = {one.path for one in flat if one.physical_type == TEXT}
    if texts <= set(words):
        return file
    asked = {"metadata": file.metadata, "read_dictionary": sorted(texts)}
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False, **asked)


def _read(file: Any, path: Path, rows: int, columns: Sequence[str] | None = None) -> Any:
    """Columns (all if not given) of a file of at most so many rows, however many it really has.

    Piece by piece: a run of one number is a few bytes of the file, and as long in memory as any
    other, and what the file says of how many there are may be false.
    """
    import pyarrow as pa

    most = max(1, min(rows + 1, MAX_EXPANDED // (CELL * max(1, file.metadata.num_columns))))
    pieces, found = [], 0
    for piece in file.iter_batches(most, columns=columns, use_threads=False):
        pieces.append(piece)
        found += len(piece)
        if found > file.metadata.num_rows:
            break
    if found != file.metadata.num_rows:
        raise UserError(f"expected as many rows in {path.name} as it says, got others")
    return pa.Table.from_batches(pieces, pieces[0].schema if pieces else file.schema_arrow)


def _values(path: Path) -> int:
    """How many values a file says it has, in lists too, of which a row may hold any number.

    Asked in another process, for Arrow ends it where what the file says is broken.
    """
    asked = [sys.executable, "-P", "-c", VALUES, str(path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError("columns whose account of themselves is broken")
    return int(done.stdout)


def _is_plain(column: Any) -> bool:
    return not column.max_repetition_level and column.physical_type not in WIDE


def _check_size(about: Any, path: Path, rows: int, most: int) -> None:
    """Raise UserError for a file that says of itself that it is too large; `most` is in bytes."""
    # Not what it says of a column: where that is broken Arrow ends the process.
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    claimed = sum(abs(group.total_byte_size) for group in groups)
    cells = about.num_rows * about.num_columns * CELL
    sizes = {
        "rows": (about.num_rows, rows),
        "columns": (about.num_columns, MAX_COLUMNS),
        "groups of rows": (about.num_row_groups, max(rows, 1)),
        "bytes, expanded,": (max(claimed, cells), most),
    }
    for what, (found, limit) in sizes.items():
        if found > limit:
            raise UserError(f"expected at most {limit} {what} in {path.name}, got {found}")


def run_rows(words: Words, numbers: Mapping[str, NDArray[Any]]) -> Iterator[RowOutcomes]:
    """The rows of the run, which robench writes one after the other, of the columns of its table.

    Raises UserError for an empty table, and for a row that is valid for some images alone.
    """
    eps = numbers["eps"]
    if len(eps) == 0:
        raise UserError("expected outcomes, got an empty table")
    starts = (eps[1:] != eps[:-1]) & ~(np.isnan(eps[1:]) & np.isnan(eps[:-1]))
    for codes, _ in words.values():
        starts |= codes[1:] != codes[:-1]
    edges = [0, *(np.flatnonzero(starts) + 1).tolist(), len(eps)]
    return (_row(words, numbers, slice(a, b)) for a, b in pairwise(edges))


def _row(words: Words, numbers: Mapping[str, NDArray[Any]], at: slice) -> RowOutcomes:
    named: dict[str, Any] = {name: names[codes[at.start]] for name, (codes, names) in words.items()}
    eps = float(numbers["eps"][at.start])
    each: dict[str, Any] = {name: numbers[name][at] for name in PER_IMAGE}
    valid = count(numbers["valid"][at])
    if valid not in (0, at.stop - at.start):
        raise UserError(f"expected {named['attack']} to be valid for all images or for none")
    return RowOutcomes(**named, eps=None if np.isnan(eps) else eps, **each, valid=valid > 0)


# -- pyarrow's own conversions from and to numpy import pandas, so these go through its buffers ----


def coded(words: Any) -> tuple[NDArray[Any], list[str]]:
    """An Arrow array of words as numbers, and the words that these stand for.

    Raises ValueError where none stand.
    """
    if not hasattr(words, "dictionary") or not is_word(words.type.value_type):
        raise ValueError(f"{words.type} where words should stand")
    return array(words.indices), [str(word) for word in words.dictionary.to_pylist()]


def _arrow(values: Any) -> Any:
    """A column as an Arrow array; NaN is missing."""
    import pyarrow as pa

    found = np.asarray(values)
    if found.dtype.kind == "b" or (found.dtype.kind in "iuf" and found.dtype.isnative):
        return numbers(found, np.isnan(found) if found.dtype.kind == "f" else None)
    if found.dtype.kind == "U":
        return _words(found)
    return pa.array(list(values), from_pandas=True)


def _words(texts: NDArray[Any]) -> Any:
    """Words as Arrow strings; few of them are different, so each is written down once."""
    import pyarrow as pa

    names, codes = np.unique(texts, return_inverse=True)
    words = column([str(name) for name in names], pa.string())
    return pa.DictionaryArray.from_arrays(numbers(codes.astype(np.int32)), words).cast(pa.string())
