from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from robench.base.stats import (
    Z95,
    at_most,
    explained,
    mcnemar,
    newcombe_unpaired,
    paired,
    wilson,
)


def scipys_wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    interval = scipy_stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


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


@given(n=st.integers(1, 100_000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_wilson_is_scipys(n: int, share: float, confidence: float) -> None:
    hits = round(n * share)
    assert wilson(hits, n) == pytest.approx(scipys_wilson(hits, n), abs=1e-12)
    z = float(scipy_stats.norm.ppf((1 + confidence) / 2))
    assert wilson(hits, n, z) == pytest.approx(scipys_wilson(hits, n, confidence), abs=1e-12)


def test_the_usual_quantile_is_that_of_95_percent() -> None:
    assert pytest.approx(scipy_stats.norm.ppf(0.975), abs=1e-15) == Z95


@given(n=st.integers(1, 10**6))
def test_no_hit_and_no_miss_reach_the_ends_exactly(n: int) -> None:
    assert wilson(0, n)[0] == 0.0
    assert wilson(n, n)[1] == 1.0


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (-1, 5), (6, 5), (0, -1)])
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


@given(b=st.integers(0, 400), c=st.integers(0, 400))
def test_mcnemar_is_scipys_binomial_test(b: int, c: int) -> None:
    if b + c:
        expected = scipy_stats.binomtest(b, b + c, 0.5).pvalue
        assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_mcnemar_of_many_disagreements_neither_overflows_nor_loses_digits() -> None:
    assert mcnemar(5200, 4800) == pytest.approx(scipy_stats.binomtest(4800, 10_000).pvalue)
    assert mcnemar(3000, 0) == 0.0  # 2^-2999, below the smallest double
    assert mcnemar(60, 0) == 2.0**-59


def vectors(a: int, b: int, c: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([True] * (a + b) + [False] * (c + d))
    second = np.array([True] * a + [False] * b + [True] * c + [False] * d)
    return first, second


def test_paired_interval_against_a_published_value() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 2635-2650, table II, method 10.
    result = paired(*vectors(36, 12, 2, 0))
    assert (result.low, result.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def newcombes_definition(a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Method 10 of the paper as a quadratic form, with scipy's Wilson and numpy's correlation.

    a, b, c, d: images that both, the first alone, the second alone and neither gets right.
    """
    first, second = vectors(a, b, c, d)
    n, phi = a + b + c + d, 0.0
    if first.std() and second.std():
        cross = a * d - b * c
        correction = max(cross - n / 2, 0) / cross if cross > 0 else 1
        phi = correction * float(np.corrcoef(first, second)[0, 1])
    form = np.array([[1, -phi], [-phi, 1]])
    p1, p2 = first.mean(), second.mean()
    (l1, u1), (l2, u2) = scipys_wilson(a + b, n), scipys_wilson(a + c, n)
    down, up = np.array([p1 - l1, u2 - p2]), np.array([u1 - p1, p2 - l2])
    low, high = p1 - p2 - np.sqrt(down @ form @ down), p1 - p2 + np.sqrt(up @ form @ up)
    return float(low), float(high)


counts = st.integers(0, 3) | st.integers(0, 60)


@given(a=counts, b=counts, c=counts, d=counts)
def test_paired_is_what_its_counts_say(a: int, b: int, c: int, d: int) -> None:
    assume(a + b + c + d > 0)
    first, second = vectors(a, b, c, d)
    result = paired(first, second)
    assert result.difference == pytest.approx(first.mean() - second.mean())
    assert (result.only_first, result.only_second, result.n) == (b, c, len(first))
    assert result.p_value == mcnemar(b, c)
    assert -1 <= result.low <= result.difference <= result.high <= 1
    assert (result.low, result.high) == pytest.approx(newcombes_definition(a, b, c, d), abs=1e-9)


def test_a_comparison_does_not_change() -> None:
    result = paired(*vectors(3, 2, 1, 0))
    with pytest.raises(FrozenInstanceError):
        result.p_value = 0.0  # type: ignore[misc]


def test_paired_difference_is_antisymmetric() -> None:
    first, second = vectors(20, 12, 2, 16)
    forth, back = paired(first, second), paired(second, first)
    assert forth.difference == pytest.approx(0.2) == -back.difference
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert forth.p_value == back.p_value


NONE = np.zeros(0, dtype=bool)
ROWS = np.ones((2, 3), dtype=bool)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ROWS[0], ROWS[0, 1:]),
        (ROWS[0, 1:], ROWS[0]),
        (NONE, NONE),
        (ROWS, ROWS),
        (ROWS[0, 0], ROWS[0, 0]),
    ],
)
def test_paired_refuses_other_images_and_none(first: np.ndarray, second: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one length"):
        paired(first, second)


def test_unpaired_newcombe_known_answers() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table II, method 10.
    assert newcombe_unpaired(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe_unpaired(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert newcombe_unpaired(10, 10, 0, 20) == pytest.approx((0.6791, 1.0), abs=5e-5)


@given(n=st.integers(1, 500), of=st.integers(1, 500), data=st.data())
def test_unpaired_newcombe_is_the_square_and_add_of_two_wilsons(
    n: int, of: int, data: st.DataObject
) -> None:
    hits, others = data.draw(st.integers(0, n)), data.draw(st.integers(0, of))
    (l1, u1), (l2, u2) = scipys_wilson(hits, n), scipys_wilson(others, of)
    p1, p2 = hits / n, others / of
    low, high = newcombe_unpaired(hits, n, others, of)
    assert (p1 - p2 - low) ** 2 == pytest.approx((p1 - l1) ** 2 + (u2 - p2) ** 2, abs=1e-9)
    assert (high - p1 + p2) ** 2 == pytest.approx((u1 - p1) ** 2 + (p2 - l2) ** 2, abs=1e-9)
    assert low <= p1 - p2 <= high


@pytest.mark.parametrize("n", [1, 50, 600, 20_000])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.4])
def test_what_chance_explains_is_scipys_binomial(n: int, share: float) -> None:
    limit = explained(n, share, 1e-6)
    assert limit == int(scipy_stats.binom.isf(1e-6, n, share))
    for hits in (0, limit // 2, limit, n):
        assert at_most(hits, n, share) == pytest.approx(
            scipy_stats.binom.cdf(hits, n, share), rel=1e-6, abs=1e-12
        )


def test_nothing_is_explained_of_nothing() -> None:
    assert explained(0, 0.001, 1e-6) == 0
