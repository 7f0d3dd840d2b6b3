"""Whose axes are read first decides no other row's: what is equal is not always the same."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from robench.base.errors import UserError
from robench.base.paths import shipped
from robench.collection.values import Forms, stored
from robench.core.names import is_computed, spelled
from robench.core.record import Value
from robench.leaderboard.read.merge import worse_values
from robench.leaderboard.table.cells import FAMILIES, MAX_COLUMNS, Cell, Column, column_of, ordered
from robench.leaderboard.table.formats import WORDS
from robench.leaderboard.table.labels import TITLES
from robench.records.store import read
from robench.records.support.values import OWN, require_values
from robench.records.trust import LEVELS

PUBLISHED = Path(__file__).parents[2] / "leaderboard/records/01ec07db725967a1"
EQUAL = (1, 1.0, -0.0, 0.0, 0)


def test_one_and_one_point_zero_are_two_columns() -> None:
    whole, broken = (column_of("m", "", "higher", (("eps", one),)) for one in (1, 1.0))
    assert [repr(one.axis("eps")) for one in (whole, broken)] == ["1", "1.0"]
    assert pickle.loads(pickle.dumps(broken)) is broken


def test_a_columns_zero_has_no_sign() -> None:
    minus, plus = (column_of("zero", "", "higher", (("eps", one),)) for one in (-0.0, 0.0))
    assert minus is plus
    assert repr(minus.axis("eps")) == "0.0"


def test_equal_axes_are_written_as_they_are() -> None:
    forms = Forms()
    codes = forms.codes(json.dumps([["m", "", "higher", {"eps": one}] for one in EQUAL]))
    column = forms.columns(codes)["eps"]
    assert [repr(column.words[at]) for at in column.codes] == list(map(repr, EQUAL))


def test_equal_axes_of_two_records_are_not_merged() -> None:
    class Said:
        values = tuple(Value(metric="m", value=one, axes={"eps": one}) for one in (1, 1.0))

    assert [repr(one.axes["eps"]) for one in worse_values([Said()])] == ["1", "1.0"]  # type: ignore[list-item]


def test_a_zero_with_a_sign_is_no_other_zero() -> None:
    wanted = Value(metric="m", value=1, axes={"radius": 0.0})
    said = wanted.model_copy(update={"axes": {"radius": -0.0}})
    require_values([wanted], [wanted], "a table")
    with pytest.raises(UserError, match="by a table, got none"):
        require_values([said], [wanted], "a table")


def test_every_name_that_robench_gives_a_column_is_reserved() -> None:
    """What is neither computed nor checked on intake is a metric's, as the record says it."""
    measured = ("size", "latency", "certified_accuracy", "certified_percentage")
    for name in FAMILIES:
        assert is_computed(name) or name in (*OWN, *measured), name
    for metric in ("clean_accuracy", "worst_case_accuracy", "audited_accuracy"):
        assert is_computed(spelled(TITLES[metric]))


def test_no_metric_has_the_key_or_the_word_of_a_column_of_the_pages_own() -> None:
    """Such a column would be sorted, chosen and read in the place of the page's."""
    script = (shipped("leaderboard/template") / "assets/table.js").read_text(encoding="utf-8")
    own = re.findall(r'\{ key: "(\w+)", title: "([^"]+)"', script)
    assert len(own) >= 14
    said = {word for keys in own for word in keys} - {"choose for comparison"}
    for name in (*said, *WORDS, *LEVELS):
        assert is_computed(name), name


def some(count: int, metric: str, first: int = 0) -> list[Column]:
    """Columns of a metric, each with axes of its own."""
    return [column_of(metric, "", "higher", (("at", first + one),)) for one in range(count)]


def having(columns: Iterable[Column]) -> dict[Column, Cell]:
    return dict.fromkeys(columns, Cell(0.5))


def test_a_row_that_proves_less_takes_no_column_of_one_that_proves_more() -> None:
    proven, mine, theirs = some(9, "throughput"), some(9, "macs"), some(MAX_COLUMNS, "certified")
    forged = [("reported", having(theirs))] * 3
    rows: list[Any] = [*forged, ("verified", having(proven)), ("consistent", having(mine)), *forged]
    kept = ordered(rows)
    assert len(kept) == MAX_COLUMNS
    assert set(kept) >= {*proven, *mine}
    assert set(ordered(rows[::-1])) >= {*proven, *mine}
    crowd: list[Any] = [("consistent", having(theirs))] * 1000
    assert set(ordered([*crowd, *rows])) >= set(proven)


@pytest.mark.parametrize("metric", ["robust", "certified", "cost", "parent_difference", "tie_rate"])
def test_of_equal_proof_what_robench_computes_is_kept_then_what_most_rows_have(metric: str) -> None:
    ranks, usual, own = some(2, metric), some(9, "macs"), some(MAX_COLUMNS, "latency")
    rows: list[Any] = [
        ("consistent", having(own)),
        ("consistent", having(ranks)),
        *([("consistent", having(usual))] * 2),
    ]
    kept = ordered(rows)
    assert set(kept) >= {*ranks, *usual}
    assert set(kept) - {*ranks, *usual} == {*own[: MAX_COLUMNS - 11]}


@pytest.mark.parametrize(
    ("axes", "why"),
    [
        ({"k": 2**63}, "expected k of at most 9223372036854775807, got 9223372036854775808"),
        ({f"k{at}": 1 for at in range(300)}, "at most 200 names of axes, got 3"),
    ],
)
def test_axes_that_no_table_holds_are_refused(axes: dict[str, Any], why: str) -> None:
    record = read(PUBLISHED)
    stored(record)
    odd = Value(metric="odd", value=0.5, axes=axes)
    with pytest.raises(UserError, match=why):
        stored(record.model_copy(update={"values": (*record.values, odd)}))
