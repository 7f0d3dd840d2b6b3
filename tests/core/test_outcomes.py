"""Scores are pure functions of the outcomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.core.outcomes import (
    CLEAN,
    COLUMNS,
    Outcomes,
    RowOutcomes,
    abstaining_as_right,
    clean_score,
    scores,
    scores_by_threat,
    worst_cases,
)
from robench.core.record import share

LABEL = [0, 1, 2, 3]


def row(attack: str, prediction: list[int], **given: Any) -> RowOutcomes:
    """Four images; the clean model is wrong about the last one."""
    shared: dict[str, Any] = {
        "access": "white_box",
        "search": "ball",
        "norm": "linf",
        "eps": 0.1,
        "image": np.arange(4),
        "label": np.array(LABEL),
        "clean_prediction": np.array([0, 1, 2, 0]),
        "linf": np.zeros(4),
        "l2": np.array([0.0, 0.5, 1.0, 2.0]),
        "valid": True,
    }
    return RowOutcomes(attack=attack, prediction=np.array(prediction), **{**shared, **given})


def clean() -> RowOutcomes:
    return row(CLEAN, [0, 1, 2, 0], access="none", search=CLEAN, norm="", eps=None)


def right(found: Any) -> dict[tuple[str, float | None], list[int]]:
    return {(one.attack, one.eps): one.right.astype(int).tolist() for one in found}


OUTCOMES = Outcomes(
    (
        clean(),
        row("pgd", [0, 0, 2, 3]),
        row("square", [1, 1, 2, 0], access="transfer"),
        row("cw", [1, 0, 0, 3], search="minimal", norm="l2", eps=None),
        row("haze", [9, 9, 9, 9], search="noise", access="none"),
        row("broken", [0, 1, 2, 3], valid=False),
    )
)
BUDGETS = {"cw": (0.5,)}


def test_an_invalid_row_has_no_score_and_noise_no_worst_case() -> None:
    robust = right(scores(OUTCOMES, {}, when_clean_right=True))
    assert ("broken", 0.1) not in robust
    assert robust["haze", 0.1] == [0, 0, 0, 0]
    assert right(worst_cases(OUTCOMES, {})) == {("worst_case", 0.1): [0, 0, 1, 0]}


def test_attacked_counts_the_attacked_label_alone() -> None:
    assert clean_score(OUTCOMES).value == 0.75
    assert right(scores(OUTCOMES, {}, when_clean_right=False))["pgd", 0.1] == [1, 0, 1, 1]
    assert right(scores(OUTCOMES, {}, when_clean_right=True))["pgd", 0.1] == [1, 0, 1, 0]


def test_beyond_its_budget_a_search_has_only_the_clean_image() -> None:
    found = right(scores(OUTCOMES, BUDGETS, when_clean_right=False))
    assert found["cw", 0.5] == [0, 0, 1, 0]
    assert found["cw", None] == [0, 0, 0, 1]
    threats = scores_by_threat(OUTCOMES, BUDGETS)
    assert [(t, [s.attack for s in same]) for t, same in threats.items()] == [
        (("linf", 0.1), ["pgd", "square"]),
        (("l2", 0.5), ["cw"]),
    ]


def test_a_distance_needs_a_norm() -> None:
    odd = Outcomes((clean(), row("cw", LABEL, search="minimal", norm="l7", eps=None)))
    with pytest.raises(UserError, match="expected norm linf or l2 of cw, got 'l7'"):
        list(scores(odd, {}, when_clean_right=True))


def test_the_table_has_the_columns_and_types() -> None:
    table = OUTCOMES.to_pandas()
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS
    assert len(table) == 4 * 6
    assert table.eps.isna().sum() == 8
    assert OUTCOMES["attack"].tolist() == table.attack.tolist()
    with pytest.raises(KeyError):
        OUTCOMES["colour"]


def test_a_share_is_a_value_with_wilsons_interval() -> None:
    value = share("x", 3, 4, {"eps": 0.1}, better="lower")
    assert (value.value, value.n, value.unit, value.better) == (0.75, 4, "share", "lower")
    assert value.low == pytest.approx(0.3006, abs=1e-4)
    assert value.high == pytest.approx(0.9544, abs=1e-4)


def test_abstentions_count_both_ways() -> None:
    """Wrong to who needs a label, unbroken to who asks what an attack reached."""
    found = Outcomes(
        (
            row(CLEAN, [0, -1, 2, 0], access="none", search=CLEAN, norm="", eps=None),
            row("pgd", [-1, 1, 0, -1], clean_prediction=np.array([0, -1, 2, 0])),
            row("cw", [-1, 0, 0, 3], search="minimal", norm="l2", eps=None),
        )
    )
    lenient, budgets = abstaining_as_right(found), {"cw": (0.6,)}
    assert lenient.clean.right.tolist() == [True, True, True, False]
    assert right(scores(found, budgets, when_clean_right=True)) == {
        ("pgd", 0.1): [0, 0, 0, 0],
        ("cw", 0.6): [0, 0, 1, 0],
        ("cw", None): [0, 0, 0, 0],
    }
    assert right(scores(lenient, budgets, when_clean_right=True)) == {
        ("pgd", 0.1): [1, 1, 0, 0],
        ("cw", 0.6): [1, 0, 1, 0],
        ("cw", None): [1, 0, 0, 0],
    }
