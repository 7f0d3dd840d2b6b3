from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robench.base.stats import mcnemar, newcombe_unpaired, paired, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_intervals(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


@given(n=st.integers(1, 400), data=st.data())
def test_wilson_holds_the_share_and_mirrors(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n - hits, n) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        wilson(hits, n)


def test_mcnemar_against_published_values() -> None:
    # Exact binomial tail: 2 * (1 + 10 + 45) / 2^10.
    assert mcnemar(8, 2) == pytest.approx(2 * 56 / 1024)
    # Agresti, Categorical Data Analysis (2002), table 10.1: 86 and 150 disagreements.
    assert mcnemar(150, 86) == pytest.approx(3.716e-5, rel=1e-3)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(7, 7) == 1.0


def vectors(a: int, b: int, c: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([True] * (a + b) + [False] * (c + d))
    second = np.array([True] * a + [False] * b + [True] * c + [False] * d)
    return first, second


def test_paired_interval_against_a_published_value() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 2635-2650, table II, method 10.
    result = paired(*vectors(36, 12, 2, 0))
    assert (result.low, result.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_paired_difference_is_antisymmetric_and_refuses_other_images() -> None:
    first, second = vectors(20, 12, 2, 16)
    forth, back = paired(first, second), paired(second, first)
    assert forth.difference == pytest.approx(0.2) == -back.difference
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p_value == back.p_value
    with pytest.raises(ValueError, match="one length"):
        paired(first, second[1:])


def test_unpaired_newcombe_known_answers() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table II, method 10.
    assert newcombe_unpaired(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe_unpaired(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert newcombe_unpaired(10, 10, 0, 20) == pytest.approx((0.6791, 1.0), abs=5e-5)
