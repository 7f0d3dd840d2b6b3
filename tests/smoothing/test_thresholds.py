from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from robench.base.errors import UserError
from robench.smoothing import thresholds
from robench.smoothing.noise import Noise
from robench.smoothing.radius import RADII, radius_squared, radius_table

NOISE = Noise(sigma="0.25")
RADII_GRID = (0.25, 0.5, 0.75)


def exact_log_e(hits: int, draws: int, p: float) -> float:
    """The e-value's definition, integrated by mpmath."""
    with mp.workprec(400):
        p, a, b = mp.mpf(p), hits + mp.mpf(1) / 2, draws - hits + mp.mpf(1) / 2
        mixture = mp.betainc(a, b, p, 1)
        prior = mp.betainc(mp.mpf(1) / 2, mp.mpf(1) / 2, p, 1)
        return float(mp.log(mixture / prior) - hits * mp.log(p) - (draws - hits) * mp.log(1 - p))


@pytest.mark.parametrize("p", [0.2, 0.5, 0.6, 0.8413, 0.9987])
@pytest.mark.parametrize("draws", [10, 100, 1500])
def test_e_values_are_their_definition(draws, p):
    counts = {math.floor(draws * p) + 1, round(draws * (1 + p) / 2), draws - 1, draws}
    for hits in (count for count in counts if count > draws * p):
        value = float(thresholds.log_e_value(hits, draws, p))
        assert value == pytest.approx(exact_log_e(hits, draws, p), abs=1e-8, rel=1e-10)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.9999])
def test_few_hits_are_never_evidence(p):
    """A clamped logarithm once certified 7,714 counts below n p."""
    n = 10_000
    values = thresholds.log_e_value(np.arange(n + 1), n, p)
    assert not np.isnan(values).any()
    assert (values[: math.floor(n * p) + 1] == -np.inf).all()
    assert (np.diff(values[math.floor(n * p) + 1 :]) > 0).all()


@pytest.mark.parametrize("p", [0.5, 0.8413, 0.977])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_crossing_probability_by_dynamic_programming(p, alpha):
    """Exact probability of ever passing a threshold at H0's edge, looking after every draw."""
    most = 1500
    looks = np.arange(1, most + 1)
    least = thresholds.climb_thresholds(looks, np.array([p]), alpha)[0]
    alive, crossed = np.zeros(most + 2), 0.0
    alive[0] = 1.0
    for n in looks:
        alive[1:] = alive[1:] * (1 - p) + alive[:-1] * p
        alive[0] *= 1 - p
        crossed += alive[least[n - 1] :].sum()
        alive[least[n - 1] :] = 0
    assert 0.1 * alpha < crossed <= alpha


def test_thresholds_are_least():
    looks = thresholds.looks_up_to(20_000)
    p = thresholds.needed_probabilities(NOISE, 3072, RADII_GRID, "exact")
    table = thresholds.climb_thresholds(looks, p, 0.0005)
    level = math.log(2000)
    for row, p_r in zip(table, p, strict=True):
        reached = row <= looks
        assert reached[-1]
        assert (thresholds.log_e_value(row[reached], looks[reached], p_r) >= level).all()
        assert (thresholds.log_e_value(row - 1, looks, p_r) < level + 2e-6).all()


@pytest.mark.parametrize("kind", RADII)
def test_needed_probabilities_are_rounded_up(kind):
    p = thresholds.needed_probabilities(NOISE, 3072, (0.0, *RADII_GRID), kind)
    targets = thresholds.grid((0.0, *RADII_GRID))[1:]
    assert (radius_squared(p, NOISE, 3072, kind) >= targets).all()
    assert (radius_squared(p - 1e-8, NOISE, 3072, kind) < targets).all()


def test_looks_grow_and_end_with_the_budget():
    looks = thresholds.looks_up_to(100_000)
    assert (looks[0], looks[-1], len(looks)) == (100, 100_000, 62)
    assert (np.diff(looks) > 0).all()
    assert thresholds.looks_up_to(50).tolist() == [50]


def test_squared_targets_are_exact():
    assert thresholds.squared_target(0.25) == 4064
    assert thresholds.squared_target(1.0) == 255**2
    assert thresholds.squared_target(0.1) == 650  # 25.5^2 = 650.25


def test_nothing_is_evidence_against_certainty():
    assert (thresholds.log_e_value(np.arange(11), 10, 1.0) == -np.inf).all()


def test_e_values_broadcast():
    values = thresholds.log_e_value([[9], [10]], 10, [0.5, 0.6, 0.7])
    assert values.shape == (2, 3)
    assert values[1, 2] == thresholds.log_e_value(10, 10, 0.7)


@pytest.mark.parametrize("p", [0.5, 0.83, 0.999])
def test_climbing_takes_the_least_count_whose_e_value_reaches_one_over_alpha(p):
    """From the definition, at every look; one more than the look where no count does."""
    looks = np.arange(1, 60)
    (row,) = thresholds.climb_thresholds(looks, np.array([p]), 0.05)
    for n, least in zip(looks.tolist(), row.tolist(), strict=True):
        above = range(math.floor(n * p) + 1, n + 1)
        enough = [hits for hits in above if exact_log_e(hits, n, p) >= math.log(20)]
        assert least == min(enough, default=n + 1)


def test_a_count_that_floats_cannot_tell_from_one_over_alpha_does_not_certify():
    value = float(thresholds.log_e_value(70, 100, 0.5))
    for below, expected in ((0.0, 71), (2e-6, 70)):
        alpha = math.exp(below - value)
        row = thresholds.climb_thresholds(np.array([100]), np.array([0.5]), alpha)
        assert row.tolist() == [[expected]]


def test_climbing_asks_more_of_a_larger_radius():
    looks = thresholds.looks_up_to(5000)
    low, high = thresholds.climb_thresholds(looks, np.array([0.6, 0.9]), 0.001)
    assert (low[low <= looks] < high[low <= looks]).all()
    assert low.shape == looks.shape


def hits_for_hope(look: int, last: int, fresh: bool, needed: int) -> int:
    """The definition: the least count whose upper bound leaves `needed` of `last` in reach."""
    for hits in range(look + 1):
        test = stats.binomtest(hits, look, alternative="less")
        upper = test.proportion_ci(0.95, method="exact").high
        reach = math.floor(last * upper) if fresh else hits + math.floor((last - look) * upper)
        if reach >= needed:
            return hits
    return look + 1


@pytest.mark.parametrize("fresh", [True, False])
def test_giving_up_is_when_the_upper_bound_leaves_the_goal_out_of_reach(fresh):
    looks, last, needed = np.array([1, 10, 30, 60]), 60, [0, 35, 50, 58, 60, 61]
    rows = thresholds.give_up_thresholds(looks, last, fresh, np.array(needed))
    assert rows.tolist() == [
        [hits_for_hope(look, last, fresh, goal) for look in looks.tolist()] for goal in needed
    ]


def test_needed_counts_are_the_first_entries_that_reach_a_radius():
    table = radius_table(NOISE, 3072, 500, 0.001)
    radii = (0.0, 0.1, 0.25, 0.5, 9.0)
    for radius, count in zip(radii, thresholds.needed_counts(table, radii).tolist(), strict=True):
        reached = np.flatnonzero(table >= thresholds.squared_target(radius))
        assert count == min(reached, default=len(table))


def test_a_radius_beyond_every_probability_needs_certainty():
    assert thresholds.needed_probabilities(NOISE, 3072, (0.25, 50.0), "exact")[1] == 1.0


def test_the_samplers_error_is_added_to_what_is_needed():
    """At so many pixels the sampler may be wrong by 0.1, the probability needed is 0.1 higher."""
    many = int(Fraction(1, 10) / NOISE.tau)
    exact, charged = (
        thresholds.needed_probabilities(NOISE, pixels, (0.1, 0.5), "exact") for pixels in (1, many)
    )
    assert charged == pytest.approx(np.minimum(exact + 0.1, 1.0), abs=1e-9)
    assert charged[1] == 1.0


def test_needed_probabilities_are_those_of_the_formula():
    """R = s Phi^-1(p): the probability is Phi(R / s)."""
    p = thresholds.needed_probabilities(NOISE, 1, RADII_GRID, "exact")
    squares = [math.floor((255 * radius) ** 2) for radius in RADII_GRID]
    assert p == pytest.approx(stats.norm.cdf(np.sqrt(squares) / 63.75), abs=1e-9)


@pytest.mark.parametrize("last", [99, 100, 101, 150, 100_000])
def test_looks_begin_at_100_and_grow_by_12_percent(last):
    *looks, end = thresholds.looks_up_to(last).tolist()
    assert end == last
    steps = (math.floor(100 * Fraction(112, 100) ** k) for k in range(len(looks)))
    assert looks == list(steps)
    assert Fraction(112, 100) ** len(looks) * 100 >= last


def test_the_grid_begins_with_abstaining():
    assert thresholds.grid((0.1, 1.0)).tolist() == [-1, 650, 255**2]
    assert thresholds.grid((0.1,)).dtype == np.int64


def test_the_largest_radius_in_reach_is_accepted_and_one_unit_more_refused():
    best = int(radius_table(NOISE, 3072, 1000, 0.001)[-1])
    reach, beyond = (round(math.sqrt(best + over) / 255, 6) for over in (0.5, 1.5))
    assert thresholds.squared_target(reach) == best
    thresholds.require_reachable(NOISE, 3072, 1000, 0.001, "exact", (reach, 9.0))
    largest = f"{math.sqrt(best) / 255:.4f}"
    with pytest.raises(UserError, match=f"1000 draws can certify, got {beyond}.*{largest}"):
        thresholds.require_reachable(NOISE, 3072, 1000, 0.001, "exact", (beyond,))


def test_a_budget_that_certifies_nothing_is_refused_even_for_radius_zero():
    with pytest.raises(UserError, match="budget"):
        thresholds.require_reachable(NOISE, 3072, 10, 0.001, "exact", (0.0,))


@pytest.mark.parametrize("radii", [(0.0,), (0.0, 0.25), (0.25, 0.5, 9.0)])
def test_increasing_radii_from_zero_are_accepted(radii):
    thresholds.check_radii(radii)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "radii",
    [(), (0.5, 0.25), (-0.1,), (-0.1, 0.2), (0.5, 0.5), (NAN,), (0.5, INF), (0.1, 0.3, 0.2)],
)
def test_impossible_radii_are_refused(radii):
    with pytest.raises(UserError, match="increasing, finite radii"):
        thresholds.check_radii(radii)
