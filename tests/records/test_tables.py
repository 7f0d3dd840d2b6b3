"""Tables come back as they were written, also those that pandas wrote, and need no pandas."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robench.base.errors import UserError
from robench.core.outcomes import COLUMNS
from robench.records.tables import (
    read_columns,
    read_frame,
    read_outcomes_file,
    write_columns,
    write_outcomes_file,
)
from tests.core.test_outcomes import OUTCOMES


def test_outcomes_come_back(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.parquet"
    write_outcomes_file(OUTCOMES, path)
    pd.testing.assert_frame_equal(read_outcomes_file(path).to_pandas(), OUTCOMES.to_pandas())
    pd.testing.assert_frame_equal(pd.read_parquet(path).astype(COLUMNS), OUTCOMES.to_pandas())


def test_outcomes_that_pandas_wrote_come_back(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.parquet"
    OUTCOMES.to_pandas().to_parquet(path, index=False, row_group_size=7)
    found = read_outcomes_file(path)
    pd.testing.assert_frame_equal(found.to_pandas(), OUTCOMES.to_pandas())
    assert [row.valid for row in found.rows] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"linf": None}, "expected columns linf"),
        ({"label": 70_000}, "expected an outcomes table"),
        ({"label": "three"}, "expected an outcomes table"),
        ({"attack": 3}, "words should stand"),
        ({"prediction": pd.array([None] * 24, "Int16")}, "missing values"),
        ({"prediction": "3"}, "string where"),
        ({"label": 0.5}, "double where int16"),
        ({"valid": 1}, "int64 where bool"),
        ({"linf": 1}, "int64 where float"),
        ({"image": [[1]] * 24}, "numbers should stand"),
        ({"attack": [None] * 24}, "words should stand|missing"),
        ({"valid": [True, False] * 12}, "valid for all images or for none"),
    ],
)
def test_other_tables_are_refused(change: dict[str, object], text: str, tmp_path: Path) -> None:
    table = OUTCOMES.to_pandas().assign(**change)
    kept = table.drop(columns=[name for name, value in change.items() if value is None])
    kept.to_parquet(tmp_path / "outcomes.parquet", index=False)
    with pytest.raises(UserError, match=text):
        read_outcomes_file(tmp_path / "outcomes.parquet")


def test_a_table_that_was_read_is_let_go_of(tmp_path: Path) -> None:
    """Processes that read many records do not look for cycles."""
    path = tmp_path / "outcomes.parquet"
    write_outcomes_file(OUTCOMES, path)

    def met() -> int:
        return sum(type(one).__name__ == "FileMetaData" for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = met()
        read_outcomes_file(path)
        assert met() == before
    finally:
        gc.enable()


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    OUTCOMES.to_pandas().iloc[:0].to_parquet(tmp_path / "outcomes.parquet", index=False)
    with pytest.raises(UserError, match="empty table"):
        read_outcomes_file(tmp_path / "outcomes.parquet")


def test_a_table_of_more_than_is_asked_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.parquet"
    write_outcomes_file(OUTCOMES, path)
    assert len(read_outcomes_file(path, rows=24).rows) == 6
    with pytest.raises(UserError, match="at most 23 rows in"):
        read_outcomes_file(path, rows=23)


def test_a_table_that_would_expand_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own account; the account is made up here, a gigabyte would take a while to write."""
    path = tmp_path / "outcomes.parquet"
    write_outcomes_file(OUTCOMES, path)
    monkeypatch.setattr("robench.records.tables.MAX_EXPANDED", 100)
    with pytest.raises(UserError, match="at most 100 bytes, expanded, in"):
        read_outcomes_file(path)


def test_a_run_of_one_number_is_as_large_as_it_would_be_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of them are some bytes of the file, by its own account, too."""
    write_columns({"n": np.zeros(10_000, int), "w": ["a"] * 10_000}, tmp_path / "t.parquet")
    monkeypatch.setattr("robench.records.tables.MAX_EXPANDED", 100_000)
    with pytest.raises(UserError, match=r"at most 100000 bytes, expanded, in .*, got 160000"):
        read_columns(tmp_path / "t.parquet")


def test_no_byte_of_its_account_of_itself_ends_the_process(tmp_path: Path) -> None:
    """Arrow ends it where a column's account is broken and Python asks for that."""
    path = tmp_path / "t.parquet"
    write_columns({"n": np.arange(1_000) % 7, "w": ["a", "b"] * 500}, path)
    whole = path.read_bytes()
    account = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    taken = 0
    for at in range(account, len(whole) - 8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 2]) + whole[at + 1 :])
        try:
            columns = read_columns(path)
        except UserError:
            continue
        taken += 1
        assert all(len(column) <= 1_000 for column in columns.values())
    assert 0 < taken < len(whole) - account


def test_a_row_of_many_values_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    pd.DataFrame({"x": [np.zeros(20_000, int)]}).to_parquet(path)
    assert len(read_frame(path).x[0]) == 20_000
    monkeypatch.setattr("robench.records.tables.VALUES", "import os; os.abort()")
    with pytest.raises(UserError, match="account of themselves is broken"):
        read_frame(path)
    monkeypatch.undo()
    monkeypatch.setattr("robench.records.tables.CELL", 2**16)
    with pytest.raises(UserError, match=r"at most 16384 values in t\.parquet, got 20000"):
        read_frame(path)


@pytest.mark.parametrize("rows", [(1, 3000), (3000, 0)])
def test_a_long_word_is_in_memory_once(rows: tuple[int, int], tmp_path: Path) -> None:
    """Once it took as much for every row, long or not, and for every table read with it."""
    long, short = rows
    words = pa.DictionaryArray.from_arrays([0] * long + [1] * short, ["x" * 300_000, "linf"])
    path = tmp_path / "t.parquet"
    # Without Arrow's own schema it is a column of words to whoever reads it.
    pq.write_table(pa.table({"w": words}), path, compression="zstd", store_schema=False)
    before = pa.total_allocated_bytes()
    found = read_columns(path)["w"]
    assert found.nbytes == 8 * len(found)
    assert {id(one) for one in found} == {id(found[0]), id(found[-1])}
    assert pa.total_allocated_bytes() - before < 10**6
    frame = read_frame(path)
    assert frame.w.tolist() == found.tolist()
    assert frame.w.dtype == object


def test_missing_words_are_none(tmp_path: Path) -> None:
    pd.DataFrame({"w": ["a", None, "b"]}).to_parquet(tmp_path / "t.parquet")
    assert read_columns(tmp_path / "t.parquet")["w"].tolist() == ["a", None, "b"]


def test_columns_of_other_things_are_refused(tmp_path: Path) -> None:
    pd.DataFrame({"x": [[1], [2]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match="numbers should stand"):
        read_columns(tmp_path / "t.parquet")
    pd.DataFrame({f"c{i}": [1] for i in range(300)}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(UserError, match="at most 200 columns"):
        read_columns(tmp_path / "t.parquet")
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(UserError, match="pipe"):
        read_columns(tmp_path / "pipe.parquet")


TABLE = {
    "n": [1, 2, 3],
    "x": np.array([0.5, np.nan, 2.0], np.float32),
    "word": ["a", "ß", ""],
    "truth": np.array([True, False, True]),
    "maybe": [1.5, None, 2.5],
}


@pytest.mark.parametrize("frame", [False, True])
def test_a_metrics_table_may_be_columns_or_a_frame(frame: bool, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_columns(pd.DataFrame(TABLE) if frame else TABLE, path)
    pd.testing.assert_frame_equal(pd.read_parquet(path), pd.DataFrame(TABLE), check_dtype=False)
    found = read_columns(path)
    assert {name: found[name].tolist() for name in ("n", "word", "truth")} == {
        "n": [1, 2, 3],
        "word": ["a", "ß", ""],
        "truth": [True, False, True],
    }
    np.testing.assert_array_equal(found["x"], TABLE["x"])


def test_reading_and_writing_need_no_pandas(tmp_path: Path) -> None:
    write_outcomes_file(OUTCOMES, tmp_path / "outcomes.parquet")
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from robench.records.tables import read_columns, write_columns\n"
        "from robench.records.tables import read_outcomes_file, write_outcomes_file\n"
        f"found = read_outcomes_file(Path({str(tmp_path / 'outcomes.parquet')!r}))\n"
        f"write_outcomes_file(found, Path({str(tmp_path / 'again.parquet')!r}))\n"
        f"write_columns({{'a': [1], 'b': ['x'], 'c': [True]}}, Path({str(tmp_path / 't')!r}))\n"
        f"read_columns(Path({str(tmp_path / 't')!r}))\n"
        "assert 'pandas' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
