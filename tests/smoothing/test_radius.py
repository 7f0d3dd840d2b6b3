from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import mpmath as mp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from robench.base.errors import UserError
from robench.smoothing.bounds import binomial_tail, lower_bound, upper_bound
from robench.smoothing.noise import Noise
from robench.smoothing.radius import (
    ABSTAIN,
    RADII,
    exact_radius,
    lifted_radius,
    needed_probability,
    radius_squared,
    radius_table,
    reaches,
    renyi_radius,
    require_useful,
)
from tests.smoothing.smoothing_toys import pmf

FORMULAS = {"exact": exact_radius, "lifted": lifted_radius, "renyi": renyi_radius}


@pytest.mark.parametrize("sigma", ["0.12", "1.0"])
def test_the_exact_radius_is_s_times_the_normal_quantile(sigma):
    p = np.array([0.5, 0.6, 0.99, 1 - 1e-12])
    found = exact_radius(p, Noise(sigma=sigma), 3072)
    assert found == pytest.approx(255 * float(sigma) * stats.norm.ppf(p), rel=1e-12)


def lifted_at(width: float, p: float, s: float, pixels: int) -> float:
    """The docstring's formula at one width, by scalars."""
    eta = pixels * sum(2 * math.exp(-2 * math.pi**2 * r**2) for r in (width, s))
    if width >= s or p - eta <= 0.5 + eta:
        return 0.0
    gap = stats.norm.ppf(p - eta) - stats.norm.ppf(0.5 + eta)
    return math.sqrt(s**2 - width**2) * float(gap)


@pytest.mark.parametrize(
    ("s", "pixels"), [(30.6, 3072), (5.1, 10), (1.7, 3072), (1.7, 1), (0.51, 1)]
)
@pytest.mark.parametrize("p", [0.5, 0.6, 0.99, 0.999999])
def test_the_lifted_radius_is_the_best_of_the_widths(s, pixels, p):
    (found,) = lifted_radius(np.array([p]), Noise(sigma=Fraction(str(s)) / 255), pixels)
    best = max(lifted_at(width, p, s, pixels) for width in np.linspace(0.5, 2.0, 601))
    assert 0.99 * best <= found <= best * (1 + 1e-9)


def renyi_at(order: float, p: float, s: float) -> float:
    """Squared radius of one order, at 240 bits: -2 s^2 / a log(2 M), M the power mean of p, 1-p."""
    with mp.workprec(240):
        a, p = mp.mpf(order), mp.mpf(p)
        mean = ((p ** (1 - a) + (1 - p) ** (1 - a)) / 2) ** (1 / (1 - a))
        return float(-2 * mp.mpf(s) ** 2 / a * mp.log(2 * mean))


@pytest.mark.parametrize("p", [0.51, 0.6, 0.99, 0.999999])
@pytest.mark.parametrize("s", [0.51, 30.6])
def test_the_renyi_radius_is_the_best_of_the_orders(p, s):
    (found,) = renyi_radius(np.array([p]), Noise(sigma=Fraction(str(s)) / 255), 3072)
    best = max(renyi_at(1 + order, p, s) for order in np.geomspace(1e-3, 900, 200))
    assert found**2 == pytest.approx(best, rel=2e-3)


@settings(deadline=None, max_examples=60)
@given(p=st.floats(0.501, 1), sigma=st.integers(1, 255), kind=st.sampled_from(RADII))
def test_squares_are_rounded_down_and_open_balls_lose_an_integer(p, sigma, kind):
    noise = Noise(sigma=Fraction(sigma, 255))
    formula = FORMULAS[kind]
    (radius,) = formula(np.array([min(p, 1 - 1e-16)]), noise, 5)
    (squared,) = radius_squared(np.array([p]), noise, 5, kind)
    slack = 1e-8 * (1 + radius**2)
    assume(abs(radius**2 - round(radius**2)) > slack)
    assert squared == math.floor(radius**2)


@pytest.mark.parametrize("kind", RADII)
def test_an_integer_square_is_never_claimed_by_floats(kind):
    """P at which the squared radius is an integer, but for the last digits of a float."""
    noise = Noise(sigma=Fraction(10, 255))
    low, high = 0.9, 0.9999
    for _ in range(100):
        middle = (low + high) / 2
        formula = FORMULAS[kind]
        small = formula(np.array([middle]), noise, 5)[0] ** 2 < 400
        low, high = (middle, high) if small else (low, middle)
    around = np.array([high - 1e-9, high, high + 1e-9])
    assert radius_squared(around, noise, 5, kind).tolist() == [399, 399, 400]


@pytest.mark.parametrize(("beyond", "square"), [(1e-8, 159_999), (1e-6, 160_000)])
def test_the_guard_is_relative_to_radius_and_noise(beyond, square):
    """1e-10 (R + s): at R = 400, s = 255 it swallows 1e-8, and no more than it must."""
    p = special.ndtr((400 + beyond) / 255)
    assert radius_squared(np.array([p]), Noise(sigma=1), 1)[0] == square


@pytest.mark.parametrize("kind", RADII)
def test_certainty_has_a_finite_radius(kind):
    (square,) = radius_squared(np.array([1.0]), Noise(sigma="0.25"), 3072, kind)
    assert 7 * 63.75 < math.sqrt(square) < 9 * 63.75


# Tables.


def test_the_published_example():
    table = radius_table(Noise(sigma="0.12"), 3072, 100_000, 0.001)
    assert lower_bound([100_000], 100_000, 0.001)[0] == pytest.approx(0.001 ** (1e-5), abs=1e-15)
    assert table[-1] == 13602
    assert table.dtype == np.int64
    assert not table.flags.writeable


@pytest.mark.parametrize("kind", RADII)
@pytest.mark.parametrize("draws", [1, 30, 200])
def test_small_tables_are_their_definition(draws, kind):
    """Lower bound by scipy's interval, formula, square rounded down; below one half, abstain."""
    noise = Noise(sigma="0.12")
    formula = FORMULAS[kind]
    table = radius_table(noise, 3072, draws, 0.05, kind)
    assert len(table) == draws + 1
    for hits, square in enumerate(table.tolist()):
        test = stats.binomtest(hits, draws, alternative="greater")
        p = test.proportion_ci(0.95, method="exact").low
        expected = math.floor(formula(np.array([p]), noise, 3072)[0] ** 2) if p > 0.5 else ABSTAIN
        assert square == expected


def test_a_table_is_made_once_for_all_who_read_it():
    noise = Noise(sigma="0.12")
    assert radius_table(noise, 3072, 30, 0.05) is radius_table(noise, 3072, 30, 0.05)


@settings(deadline=None, max_examples=60)
@given(
    draws=st.integers(1, 300),
    share=st.floats(0, 1),
    squared=st.integers(0, 9000),
    alpha=st.sampled_from([0.001, 0.05, 0.3]),
)
def test_votes_reach_what_the_binomial_test_rejects(draws, share, squared, alpha):
    """Proved: under Phi(R / s), so many votes are rarer than alpha."""
    noise, hits = Noise(sigma="0.12"), round(draws * share)
    tail = stats.binom.sf(hits - 1, draws, stats.norm.cdf(math.sqrt(squared) / 30.6))
    assume(abs(tail / alpha - 1) > 1e-9)
    assert reaches(noise, 3072, draws, alpha, hits, squared) == (tail < alpha)


def test_the_probability_needed_is_exact_far_beyond_floats():
    noise = Noise(sigma="0.12")
    with mp.workprec(240):
        charge = 3072 * mp.mpf(noise.tau.numerator) / noise.tau.denominator
        for squared in (0, 1, 936, 9000):
            exact = mp.ncdf(mp.sqrt(squared) / (mp.mpf(306) / 10)) + charge
            assert abs(needed_probability(noise, 3072, squared) - exact) < mp.mpf(2) ** -230
        assert charge > mp.mpf(2) ** -200


@settings(deadline=None, max_examples=60)
@given(n=st.integers(1, 200_000), share=st.floats(0, 1), alpha=st.floats(1e-6, 0.4))
def test_clopper_pearson_is_scipys(n, share, alpha):
    k = round(n * share)
    exact = stats.binomtest(k, n).proportion_ci(1 - 2 * alpha, method="exact")
    assert abs(lower_bound(k, n, alpha) - exact.low) < 1e-12
    assert abs(upper_bound(k, n, alpha) - exact.high) < 1e-12


@settings(deadline=None, max_examples=40)
@given(n=st.integers(5, 3000), share=st.floats(0.55, 1), p=st.floats(0.3, 0.54))
def test_tail_is_the_sum_of_the_probabilities(n, share, p):
    hits = max(round(n * share), int(n * p) + 1)
    with mp.workprec(240):
        tail = binomial_tail(n, hits, mp.mpf(p))
        first = mp.binomial(n, hits) * mp.mpf(p) ** hits * (1 - mp.mpf(p)) ** (n - hits)
        assert tail >= first * (1 - mp.mpf(2) ** -200)
    if tail > 1e-290:
        assert float(tail) == pytest.approx(stats.binom.sf(hits - 1, n, p), rel=1e-8)


@pytest.mark.parametrize("square", [1, 2, 3, 400])
def test_entries_next_to_an_integer_are_decided_exactly(square):
    """At s chosen so that R^2 is within 1e-12 of an integer, floats cannot tell."""
    ratio = special.ndtri(lower_bound([900], 1000, 0.001)[0])
    for nudge in (-1e-12, 1e-12):
        sigma = Fraction(math.sqrt(square) / ratio * (1 + nudge)) / 255
        noise = Noise(sigma=Fraction(int(sigma * 10**18), 10**18))
        value = int(radius_table(noise, 1, 1000, 0.001)[900])
        assert value == (square - 1 if nudge < 0 else square)
        assert reaches(noise, 1, 1000, 0.001, 900, value)
        assert not reaches(noise, 1, 1000, 0.001, 900, value + 1)


@pytest.mark.parametrize(("alpha", "square"), [(2**-10, ABSTAIN), (2**-10 * (1 + 1e-12), 0)])
def test_a_bound_of_one_half_is_decided_exactly(alpha, square):
    """Ten of ten bound the probability by alpha^(1/10): 1/2, or above it by less than the guard."""
    assert radius_table(Noise(sigma="0.25"), 3072, 10, alpha)[10] == square


def test_the_samplers_error_is_charged():
    """A law known only to within tau per pixel certifies less."""
    noise = Noise(sigma="0.12")
    assert reaches(noise, 1, 1000, 0.001, 900, 900)
    many = int(Fraction(1, 10) / noise.tau)
    assert not reaches(noise, many, 1000, 0.001, 900, 900)
    p = lower_bound(np.arange(1001), 1000, 0.001) - 0.1
    radius = 30.6 * stats.norm.ppf(np.clip(p, 0.5, 1))
    table = radius_table(noise, many, 1000, 0.001)
    assert np.array_equal(table, np.where(p > 0.5, np.floor(radius**2), ABSTAIN))


@pytest.mark.parametrize(
    ("p", "exact", "lifted", "renyi"),
    [
        (0.6, 0.2533, 0.2530, 0.2022),
        (0.8, 0.8416, 0.8406, 0.6742),
        (0.99, 2.3263, 2.3235, 1.9080),
        (0.999, 3.0902, 3.0865, 2.5757),
        (0.9999, 3.7190, 3.7145, 3.1409),
    ],
)
def test_formulas_in_units_of_sigma(p, exact, lifted, renyi):
    noise = Noise(sigma="0.12")
    found = [np.sqrt(radius_squared(np.array([p]), noise, 3072, k)[0] + 0.5) / 30.6 for k in RADII]
    assert found[0] == pytest.approx(exact, abs=0.003)
    assert lifted - 0.003 <= found[1] <= exact + 0.003
    assert found[2] == pytest.approx(renyi, abs=0.003)


@pytest.mark.parametrize("kind", RADII)
def test_abstains_unless_above_one_half(kind):
    noise = Noise(sigma="0.25")
    assert radius_squared(np.array([0.2, 0.5, 0.5 + 1e-11]), noise, 3072, kind).tolist() == [-1] * 3
    assert radius_squared(np.array([0.5001]), noise, 3072, kind)[0] >= 0
    table = radius_table(noise, 3072, 1000, 0.001, kind)
    p = lower_bound(np.arange(1001), 1000, 0.001)
    assert np.array_equal(table == -1, p <= 0.5)


def test_a_hopeless_budget_is_refused_with_its_largest_radius():
    with pytest.raises(UserError, match=r"10 draws at alpha=0\.001.*0\.000744 in \[0,1\]"):
        require_useful(Noise(sigma="0.25"), 3072, 10, 0.001, "exact")
    require_useful(Noise(sigma="0.25"), 3072, 100, 0.001, "exact")


def test_the_largest_radius_of_a_refusal_is_charged_for_the_sampler():
    noise = Noise(sigma="0.25")
    assert lower_bound([12], 12, 0.001)[0] - 0.1 < 0.5
    with pytest.raises(UserError, match=r"radius is 0\.000000"):
        require_useful(noise, int(Fraction(1, 10) / noise.tau), 12, 0.001, "exact")


@pytest.mark.parametrize("draws", range(7, 16))
def test_a_budget_is_refused_until_its_best_vote_certifies_one_unit(draws):
    """At the least budget accepted, only unanimity certifies."""
    noise = Noise(sigma="0.05")
    best = radius_table(noise, 3072, draws, 0.001)[-1]
    if best >= 1:
        require_useful(noise, 3072, draws, 0.001, "exact")
    else:
        with pytest.raises(UserError, match=f"got {draws} draws"):
            require_useful(noise, 3072, draws, 0.001, "exact")


# The theory: slow, exact sums.


@pytest.mark.parametrize("sigma", ["0.12", "1.0"])
@pytest.mark.parametrize(("draws", "alpha"), [(100, 0.001), (1000, 0.05), (100_000, 0.001)])
def test_entries_are_the_true_floor(sigma, draws, alpha):
    noise = Noise(sigma=sigma)
    table = radius_table(noise, 3072, draws, alpha)
    assert (np.diff(table) >= 0).all()
    first = int(np.argmax(table >= 0))
    assert not reaches(noise, 3072, draws, alpha, first - 1, 0)
    for hits in {first, draws, *np.linspace(first, draws, 60).astype(int).tolist()}:
        assert reaches(noise, 3072, draws, alpha, hits, int(table[hits]))
        assert not reaches(noise, 3072, draws, alpha, hits, int(table[hits]) + 1)


def beyond_the_cut(delta: tuple[int, ...], s: float) -> float:
    """1 - p*(delta) from its definition: P(T > R^2) + P(T = R^2) / 2, T = <n, delta>."""
    reach = int(max(map(abs, delta)) + 10 * s + 2)
    z = np.arange(-reach, reach + 1)
    p = np.exp(-(z**2) / (2 * s**2))
    p /= p.sum()
    weight, score = np.ones(1), np.zeros(1, dtype=np.int64)
    for step in delta:
        weight = np.multiply.outer(weight, p).reshape(-1)
        score = np.add.outer(score, step * z).reshape(-1)
    square = sum(step * step for step in delta)
    return float(weight[score > square].sum() + weight[score == square].sum() / 2)


@pytest.mark.parametrize(
    ("s", "step", "expected"),
    [
        (30.6, 70, 0.01108687977),
        (5, 12, 0.008376361449),
        (2, 5, 0.007110048045),
        (1, 2, 0.03156265453),
        (0.5, 1, 0.05348926177),
    ],
)
def test_known_values_of_the_cut(s, step, expected):
    assert beyond_the_cut((step,), s) == pytest.approx(expected, rel=1e-9)
    assert beyond_the_cut((step,), s) > special.ndtr(-step / s)


@settings(deadline=None, max_examples=150)
@given(
    delta=st.lists(st.integers(-5, 5), min_size=1, max_size=3).filter(any),
    s=st.floats(0.25, 2.5),
)
def test_theorem_the_cut_lies_below_the_normal_one(delta, s):
    delta = tuple(delta)
    length = np.sqrt(sum(d * d for d in delta))
    assert beyond_the_cut(delta, s) > special.ndtr(-length / s) * (1 + 1e-9)


@settings(deadline=None, max_examples=100)
@given(delta=st.lists(st.integers(-9, 9), min_size=2, max_size=2).filter(any), s=st.floats(0.3, 3))
def test_the_short_proof_computes_the_same_number(delta, s):
    """1 - p* = exp(-R^2 / 2s^2) E exp(-|T| / s^2) / 2, the substitution of the proof."""
    reach = int(12 * s + 2)
    z = np.arange(-reach, reach + 1)
    p = np.exp(-(z**2) / (2 * s**2))
    p /= p.sum()
    scores = np.add.outer(delta[0] * z, delta[1] * z)
    mean = (np.multiply.outer(p, p) * np.exp(-np.abs(scores) / s**2)).sum()
    square = delta[0] ** 2 + delta[1] ** 2
    assert beyond_the_cut(tuple(delta), s) == pytest.approx(
        np.exp(-square / (2 * s * s)) * mean / 2
    )


def test_two_classes_are_outside_the_theorem():
    """A = {z <= 0}, B = {z >= 2}, delta = 1 ties exactly, though Eq. 8 would certify 1.0449."""
    p = pmf(Noise(sigma=Fraction(1, 255)), 12)
    a, b = p[: 12 + 1].sum(), p[12 + 2 :].sum()
    assert p[: 12 + 0].sum() == pytest.approx(p[12 + 1 :].sum())
    assert (special.ndtri(a) - special.ndtri(b)) / 2 == pytest.approx(1.0449, abs=1e-4)


# A toy smoothed classifier on Z^2, every probability summed exactly.


def smoothed(classifier: np.ndarray, noise: Noise, reach: int) -> np.ndarray:
    """P(classifier(x + n) = 1) for every x at least `reach` from the border of the grid."""
    p = pmf(noise, reach)
    windows = np.lib.stride_tricks.sliding_window_view
    rows = windows(classifier.astype(float), 2 * reach + 1, axis=0) @ p
    return windows(rows, 2 * reach + 1, axis=1) @ p


def random_classifier(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    grid = np.arange(size) - size // 2
    if kind == "half-space":  # the worst case of the theorem, at a random lattice direction
        delta = rng.integers(-4, 5, 2)
        return np.add.outer(delta[0] * grid, delta[1] * grid) <= rng.integers(-2, 12)
    if kind == "noise":
        return rng.random((size, size)) < rng.uniform(0.6, 0.999)
    centres = rng.integers(-size // 3, size // 3, (4, 2))
    distance = [np.add.outer((grid - a) ** 2, (grid - b) ** 2) for a, b in centres]
    return np.min(distance, axis=0) < rng.integers(20, 200)


def violations(noise: Noise, classifier: np.ndarray, kind: str) -> tuple[int, int]:
    """Certified points, and certified (point, delta) pairs whose majority is another."""
    reach = int(12 * float(noise.variance) ** 0.5) + 2
    p = smoothed(classifier, noise, reach)
    squared = radius_squared(p - 1e-12, noise, 2, kind)
    margin = int(np.sqrt(squared.max(initial=0))) + 1
    inner = np.s_[margin:-margin, margin:-margin]
    certified, broken = squared[inner], 0
    for a, b in product(range(-margin, margin + 1), repeat=2):
        moved = np.roll(p, (-a, -b), (0, 1))[inner]
        broken += int(((a * a + b * b <= certified) & (moved <= 0.5)).sum())
    return int((certified >= 0).sum()), broken


@pytest.mark.parametrize(
    ("law", "kind"),
    [*(("discrete_gaussian", kind) for kind in RADII), ("rounded_gaussian", "exact")],
)
def test_no_certificate_is_violated_in_ten_thousand_cases(law, kind):
    rng = np.random.default_rng(1)
    cases = rounds = 0
    while cases < 10_000:
        noise = Noise(sigma=Fraction(int(rng.integers(30, 160)), 100 * 255), law=law)
        shape = ("half-space", "noise", "discs")[rounds % 3]
        points, broken = violations(noise, random_classifier(rng, 75, shape), kind)
        assert broken == 0
        cases, rounds = cases + points, rounds + 1
    assert rounds >= 9


def test_a_radius_one_percent_larger_is_violated():
    """The certificate is tight: the test above would see an overclaim."""
    noise = Noise(sigma=Fraction(3, 255))
    p = 1 - beyond_the_cut((7,), 3.0)
    assert radius_squared(np.array([p]), noise, 1)[0] == 48
    assert radius_squared(np.array([special.ndtr(7.0 / 3.0) + 1e-9]), noise, 1)[0] == 49
    assert radius_squared(np.array([p]), Noise(sigma=Fraction(303, 25500)), 1)[0] == 49
