"""Arrow columns of what Python and numpy hold, and back: the same values, and pandas left alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from robench.base.arrow import array, column, numbers, pressed, unpressed

WORDS = pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, "zoë", ""], pa.string()),
        ([b"\x00a", None, b""], pa.binary()),
        ([b"\x00a", None, b""], pa.large_binary()),
        ([1, None, -(2**63)], pa.int64()),
        ([1.5, None, float("inf")], pa.float64()),
        ([[1.0, None], [], None, [2.0]], pa.list_(pa.float64())),
        ([["a"], None], pa.list_(pa.string())),
        (["a", "b", None, "a"], WORDS),
        ([], pa.string()),
        ([], WORDS),
    ],
)
def test_what_comes_back_is_what_went_in(values: list[Any], kind: Any) -> None:
    made = column(values, kind)
    made.validate(full=True)
    assert made.type == kind
    assert made.to_pylist() == values
    assert made.equals(pa.array(values, kind))


def test_few_words_are_kept_once() -> None:
    assert column(["b", "a", "b", None], WORDS).dictionary.to_pylist() == ["b", "a"]


@pytest.mark.parametrize("given", [np.arange(9), np.arange(9) % 2 == 0, np.arange(9.0)])
def test_arrays_come_back(given: Any) -> None:
    assert np.array_equal(array(numbers(given)), given)
    missing = np.arange(9) > 6
    assert numbers(given, missing).to_pylist() == [*given[:7].tolist(), None, None]


def test_a_missing_float_is_not_a_number_and_another_has_no_array() -> None:
    assert np.isnan(array(column([1.0, None], pa.float64()))[1])
    with pytest.raises(ValueError, match="missing values among int64"):
        array(column([1, None], pa.int64()))


def test_what_a_type_cannot_hold_is_refused() -> None:
    with pytest.raises(OverflowError):
        column([2**63], pa.int64())


def test_pandas_stays_where_it_is() -> None:
    code = """
import sys
import numpy as np
import pyarrow as pa
from robench.base.arrow import array, column, numbers
for kind in (pa.int64(), pa.float64(), pa.list_(pa.float64())):
    column([], kind)
table = pa.table({"a": column(["x", None], pa.string()), "b": numbers(np.arange(2))})
array(table["a"]), array(table["b"]), table.take(column([1], pa.int64()))
sys.exit("pandas" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("data", [b"", b"\x00", b"ab" * 40_000, bytes(range(256))])
def test_bytes_that_are_pressed_come_back(data: bytes) -> None:
    assert unpressed(pressed(data)) == data
    assert len(pressed(data)) < max(len(data) / 100, 300)
