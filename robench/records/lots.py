"""The tables of many records, read together: of a small table the file costs, not what is in it.

What is read so is what each file by itself gives. A file that is large, strange or damaged, or that
changes, is left to whoever asks for it, who says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.arrow import array, is_word
from robench.base.files import About, about_file
from robench.core.outcomes import WORDS, Outcomes, fixed
from robench.records.store import OUTCOMES, RECORD
from robench.records.support.held import AUDIT_TABLE
from robench.records.tables import (
    EARLY_COLUMNS,
    EARLY_OUTCOMES,
    NUMBERS,
    arrow_columns,
    arrow_outcomes,
    coded,
    run_rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.records.tables import Columns

MAX_ROWS = 50_000
MAX_BYTES = 2**20
"""Rows of a table, and bytes of its columns, that is read with others: these stay in memory."""
MAX_RECORD = 2**17
"""Bytes of a record.json that is taken in with others: what it says takes a dozen times as many."""
File = tuple[Path, About]


@contextmanager
def read_together(folders: Iterable[Path]) -> Iterator[set[Path]]:
    """Read the tables of some records at once; `read_columns` and `read_outcomes_file` have them
    until the end, as long as their files do not change.

    Gives those of the records that are small, so that all of these may be in memory at once.
    """
    every = list(folders)
    try:
        for same in _alike(_tables([one / OUTCOMES for one in every], arrow_outcomes)):
            _try(_outcomes, same, EARLY_OUTCOMES)
        audits = [one / f"{AUDIT_TABLE}.parquet" for one in every]
        for same in _alike(_tables(audits, arrow_columns)):
            _try(_columns, same, EARLY_COLUMNS)
        yield {path.parent for path, _ in EARLY_OUTCOMES if _is_small(path.parent / RECORD)}
    finally:
        EARLY_OUTCOMES.clear()
        EARLY_COLUMNS.clear()


def _is_small(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size <= MAX_RECORD
    return False


def _tables(paths: Iterable[Path], read: Callable[[Path, int], Any]) -> Iterator[tuple[File, Any]]:
    """The tables that may be read together, as Arrow has them."""
    for path in paths:
        try:
            file = path, about_file(path)
            table = read(path, MAX_ROWS)
        except Exception:
            continue  # whoever asks for this file meets it too, and says what it is
        if len(table) and table.get_total_buffer_size() <= MAX_BYTES:
            yield file, table


def _alike(tables: Iterable[tuple[File, Any]]) -> list[dict[File, Any]]:
    """Tables of the same columns, by their files."""
    found: dict[Any, dict[File, Any]] = {}
    for file, table in tables:
        found.setdefault(table.schema.remove_metadata(), {})[file] = table
    return list(found.values())


def _try(
    join: Callable[[Mapping[File, Any]], Mapping[File, Any]],
    tables: Mapping[File, Any],
    early: dict[Any, Any],
) -> None:
    """Keep what tables hold, unless something is wrong with one of them."""
    try:
        early.update(join(tables))
    except Exception:
        return  # each is read by itself, and the one that is wrong is refused


def _outcomes(tables: Mapping[File, Any]) -> dict[File, Outcomes]:
    whole = _joined(tables)
    # Bytes, so that nobody can ever write to them: rows need no copies of their own.
    numbers = {
        name: np.frombuffer((one := array(whole[name], kind)).tobytes(), one.dtype)
        for name, kind in NUMBERS.items()
    }
    words = {name: _words([one[name] for one in tables.values()]) for name in WORDS}
    ends = dict(zip(accumulate(map(len, tables.values())), tables, strict=True))
    found, rows, end = dict[File, Outcomes](), [], 0
    for row in run_rows(words, numbers):
        rows.append(row)
        end += len(row)
        if end in ends:
            found[ends[end]] = Outcomes(tuple(rows))
            rows = []
    return found


def _words(columns: Iterable[Any]) -> tuple[NDArray[Any], list[str]]:
    """Words of several tables; no two tables have a place in common, so that none of one's rows
    goes on in the next."""
    codes, words = [], list[str]()
    for one in columns:
        places, its = coded(one.combine_chunks())
        if not 0 <= places.min() <= places.max() < len(its):
            raise ValueError("places of no word")  # it would be another table's
        codes.append(places + len(words))
        words += its
    return np.concatenate(codes), words


def _columns(tables: Mapping[File, Any]) -> dict[File, Columns]:
    whole = _joined(tables)
    if any(is_word(one.type) and one.null_count for one in whole.columns):
        raise ValueError("missing words")
    columns = {name: fixed(array(whole[name])) for name in whole.column_names}
    found, start = {}, 0
    for file, table in tables.items():
        at = slice(start, start := start + len(table))
        found[file] = {name: column[at] for name, column in columns.items()}
    return found


def _joined(tables: Mapping[File, Any]) -> Any:
    import pyarrow as pa

    return pa.concat_tables(tables.values())
