"""Tables that are read together are those that are read one by one, whatever stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robench.base.errors import UserError
from robench.core.outcomes import PER_IMAGE, Outcomes
from robench.records import lots
from robench.records.store import RECORD
from robench.records.support.held import AUDIT_TABLE
from robench.records.tables import (
    EARLY_COLUMNS,
    EARLY_OUTCOMES,
    read_columns,
    read_outcomes_file,
    write_columns,
)
from tests.core.test_outcomes import OUTCOMES

RECORDS = Path(__file__).parents[2] / "leaderboard/records"
AUDIT = {
    "audit": np.array([0, 0, 1]),
    "norm": np.array(["linf", "linf", "l2"]),
    "eps": np.array([0.1, 0.1, np.nan]),
    "held": np.array([True, False, True]),
}


def _said(read: Callable[[], Any]) -> Any:
    """What a reader gives, as plain data, or why it gives nothing."""
    try:
        found = read()
    except UserError as error:
        return str(error)
    rows = [vars(row) for row in found.rows] if isinstance(found, Outcomes) else [found]
    # NaN is what it is.
    return [
        {
            name: repr(one.tolist() if isinstance(one, np.ndarray) else one)
            for name, one in row.items()
        }
        for row in rows
    ]


def _every(folders: list[Path]) -> list[Any]:
    outcomes = [_said(partial(read_outcomes_file, one / "outcomes.parquet")) for one in folders]
    audits = [_said(partial(read_columns, one / f"{AUDIT_TABLE}.parquet")) for one in folders]
    return [outcomes, audits]


def _same_together(folders: list[Path]) -> None:
    alone = _every(folders)
    with lots.read_together(folders):
        assert _every(folders) == alone
    assert not EARLY_OUTCOMES
    assert not EARLY_COLUMNS


def _written(folder: Path, outcomes: pd.DataFrame, audit: Any, **how: Any) -> Path:
    folder.mkdir()
    outcomes.to_parquet(folder / "outcomes.parquet", index=False, **how)
    pd.DataFrame(audit).to_parquet(folder / f"{AUDIT_TABLE}.parquet", index=False)
    return folder


def test_published_tables_are_read_together_and_all_the_same() -> None:
    folders = sorted(path.parent for path in RECORDS.glob("*/record.json"))[:12]
    _same_together(folders)
    with lots.read_together(folders):
        assert len(EARLY_OUTCOMES) == len(folders)


def test_nobody_can_write_to_what_is_read_together(tmp_path: Path) -> None:
    folders = [_written(tmp_path / name, OUTCOMES.to_pandas(), AUDIT) for name in "ab"]
    with lots.read_together(folders):
        assert len(EARLY_COLUMNS) == 2
        first = read_outcomes_file(folders[0] / "outcomes.parquet").rows[0]
        columns = read_columns(folders[0] / f"{AUDIT_TABLE}.parquet")
    for column in (*(getattr(first, name) for name in PER_IMAGE), *columns.values()):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[0]


def test_a_table_that_changes_is_read_again(tmp_path: Path) -> None:
    folders = [_written(tmp_path / name, OUTCOMES.to_pandas(), AUDIT) for name in "ab"]
    with lots.read_together(folders):
        changed = AUDIT | {"held": np.array([False, False, False])}
        write_columns(changed, folders[1] / f"{AUDIT_TABLE}.parquet")
        assert not read_columns(folders[1] / f"{AUDIT_TABLE}.parquet")["held"].any()
        assert read_columns(folders[0] / f"{AUDIT_TABLE}.parquet")["held"].any()


def test_a_table_of_more_rows_than_its_record_allows_is_refused(tmp_path: Path) -> None:
    folder = _written(tmp_path / "a", OUTCOMES.to_pandas(), AUDIT)
    with lots.read_together([folder]), pytest.raises(UserError, match="expected at most 3 rows"):
        read_outcomes_file(folder / "outcomes.parquet", rows=3)


STRANGE: list[Any] = [None, -1, 70_000, 0.5, float("nan"), float("inf"), True, "three", [1], "\0"]


def _mutated() -> Iterator[tuple[pd.DataFrame, Any, dict[str, Any]]]:
    """Tables of which one column, or one of its places, is something else."""
    good = OUTCOMES.to_pandas()
    for name in good:
        yield good.drop(columns=[name]), AUDIT, {}
        for value in STRANGE:
            yield good.assign(**{name: [value] * len(good)}), AUDIT, {}
            if not isinstance(value, str | list) or good[name].dtype == object:
                one = good[name].astype(object)
                one.iloc[5] = value
                yield good.assign(**{name: one}), AUDIT, {}
    for name, column in AUDIT.items():
        yield good, {key: its for key, its in AUDIT.items() if key != name}, {}
        for value in STRANGE:
            yield good, AUDIT | {name: [value] * 3}, {}
            yield good, AUDIT | {name: [value, *column[1:].tolist()]}, {}
    yield good.iloc[:0], {name: column[:0] for name, column in AUDIT.items()}, {}
    yield good, AUDIT, {"row_group_size": 5}
    yield good.iloc[::-1], AUDIT, {"compression": "gzip"}
    yield good.sample(frac=1, random_state=0), AUDIT, {"use_dictionary": False}


@contextmanager
def _unless_pandas_refuses() -> Iterator[None]:
    """A column of mixed kinds is no Parquet."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, TypeError, ValueError):
        return


def test_whatever_one_table_holds_the_others_stay_and_it_is_refused_alike(tmp_path: Path) -> None:
    good = [_written(tmp_path / f"good{n}", OUTCOMES.to_pandas(), AUDIT) for n in range(2)]
    strange: list[Path] = []
    for number, (outcomes, audit, how) in enumerate(_mutated()):
        with _unless_pandas_refuses():
            strange.append(_written(tmp_path / str(number), outcomes, audit, **how))
    assert len(strange) > 100
    for one in strange:
        _same_together([good[0], one, good[1]])
    _same_together(strange)


def test_what_is_torn_or_no_table_costs_itself_alone(tmp_path: Path) -> None:
    folders = [_written(tmp_path / str(n), OUTCOMES.to_pandas(), AUDIT) for n in range(5)]
    data = (folders[0] / "outcomes.parquet").read_bytes()
    (folders[0] / "outcomes.parquet").write_bytes(data[: len(data) // 2])
    (folders[1] / "outcomes.parquet").write_bytes(b"PAR1")
    (folders[2] / f"{AUDIT_TABLE}.parquet").unlink()
    (folders[3] / f"{AUDIT_TABLE}.parquet").unlink()
    (folders[3] / f"{AUDIT_TABLE}.parquet").mkdir()
    _same_together(folders)
    with lots.read_together(folders):
        assert len(EARLY_OUTCOMES) == 3
        assert len(EARLY_COLUMNS) == 3


def test_records_that_fit_into_memory_together_are_told(tmp_path: Path) -> None:
    folders = [_written(tmp_path / str(n), OUTCOMES.to_pandas(), AUDIT) for n in range(4)]
    for folder, size in zip(folders, (1, lots.MAX_RECORD, lots.MAX_RECORD + 1), strict=False):
        (folder / RECORD).write_bytes(b" " * size)
    with lots.read_together(folders) as small:
        assert small == set(folders[:2])
