"""Tables for other programs, and eps as people type them."""

from __future__ import annotations

import csv
import io

import pytest

from robench.base.grid import grid
from robench.core.threat import eps_text
from robench.records.tabular import Tabular


@pytest.mark.parametrize(
    ("eps", "text"),
    [
        (8 / 255, "8/255"),
        (1 / 255, "1/255"),
        (0.5 / 255, "0.5/255"),
        (128 / 255, "128/255"),
        (0.3, "0.3"),
        (0.2, "0.2"),
        (0.031, "0.031"),
        (1.0, "1"),
        (0.03137, "0.03137"),
    ],
)
def test_eps_as_it_is_typed(eps: float, text: str) -> None:
    assert eps_text(eps) == text


def test_csv_keeps_numbers_and_computes_nothing() -> None:
    text = Tabular(("a", "b"), (("=1+1", -0.1), ("x,y", None))).csv()
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["'=1+1", "-0.1"], ["x,y", ""]]


def test_latex_escapes_what_it_would_read() -> None:
    text = Tabular(("a_b", "50 %"), ((r"\input{x}", "1 ± 2"),)).latex("a & b")
    assert r"\caption{a \& b}" in text
    assert r"a\_b & 50 \% \\" in text
    assert r"\textbackslash{}input\{x\} & 1 $\pm$ 2 \\" in text


def test_a_narrow_grid_leaves_out_spare_columns_then_folds() -> None:
    heads, rows = ("name", "one", "two", "cost"), [("x", "1", "2", "9"), ("y", "", "4", "")]
    assert list(grid(heads, rows)) == [
        "name  one  two  cost",
        "x       1    2     9",
        "y            4",
    ]
    assert list(grid(heads, rows, 15, spare=1)) == [
        "name  one  two",
        "x       1    2",
        "y            4",
    ]
    folded = list(grid(heads, rows, 10, spare=1))
    assert folded == ["name  one", "x       1", "", "name  two", "x       2", "y       4"]
