from __future__ import annotations

import math
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from smoothing_toys import BernoulliVotes

from robench.base.errors import UserError
from robench.smoothing import thresholds
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.cohen import Cohen
from robench.smoothing.noise import Noise
from robench.smoothing.radius import ABSTAIN, RADII, radius_squared, radius_table
from robench.smoothing.sequential import Sequential

NOISE = Noise(sigma="0.25")
RADII_GRID = (0.25, 0.5, 0.75)


def exact_log_e(hits: int, draws: int, p: float) -> float:
    """The e-value's definition, integrated by mpmath."""
    with mp.workprec(400):
        p, a, b = mp.mpf(p), hits + mp.mpf(1) / 2, draws - hits + mp.mpf(1) / 2
        mixture = mp.betainc(a, b, p, 1)
        prior = mp.betainc(mp.mpf(1) / 2, mp.mpf(1) / 2, p, 1)
        return float(mp.log(mixture / prior) - hits * mp.log(p) - (draws - hits) * mp.log(1 - p))


@pytest.mark.parametrize("p", [0.5, 0.6, 0.8413, 0.9987])
@pytest.mark.parametrize("draws", [10, 100, 1500])
def test_e_values_are_their_definition(draws, p):
    for hits in {math.floor(draws * p) + 1, round(draws * (1 + p) / 2), draws - 1, draws}:
        if hits > draws * p:
            found = float(thresholds.log_e_value(hits, draws, p))
            assert found == pytest.approx(exact_log_e(hits, draws, p), abs=1e-8, rel=1e-10)


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


def p_of(radius: float) -> float:
    return float(thresholds.needed_probabilities(NOISE, 1, (radius,), "exact")[0])


@pytest.mark.parametrize("radius", RADII_GRID)
def test_type_one_error_of_the_whole_procedure(radius):
    """At the edge of a radius, certifying it is an error: at most alpha + 3 standard errors."""
    runs, alpha = 4000, 0.05
    source = BernoulliVotes(np.full(runs, p_of(radius) - 1e-9), NOISE, seed=3)
    certifier = Sequential(n1=1, n2=3000, alpha=alpha, radii=RADII_GRID)
    found = certifier.certify(source, np.arange(runs), labels=np.zeros(runs, dtype=np.int64))
    false = (found.radius2 >= thresholds.squared_target(radius)).mean()
    assert false <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
    assert false > 0.001  # the simulation can see errors


@pytest.mark.parametrize("radius", [0.25, 0.5])
def test_type_one_error_of_adaptive(radius):
    runs, alpha = 4000, 0.05
    source = BernoulliVotes(np.full(runs, p_of(radius) - 1e-9), NOISE, seed=4)
    certifier = Adaptive(n1=1, stages=(100, 1000, 3000), alpha=alpha, radii=RADII_GRID)
    false = (
        certifier.certify(source, np.arange(runs)).radius2 >= thresholds.squared_target(radius)
    ).mean()
    assert 0.001 < false <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


@pytest.mark.parametrize(
    ("certifier", "gain"),
    [
        (Sequential(n2=100_000, radii=RADII_GRID), 5),
        (Sequential(n2=100_000, radii=(0.5,)), 20),
        (Adaptive(radii=RADII_GRID), 3),
    ],
)
def test_fewer_draws_than_cohen_for_the_same_certified_accuracy(certifier, gain):
    p = np.random.default_rng(0).beta(2, 0.4, 400)
    cohen = Cohen().certify(BernoulliVotes(p, NOISE), np.arange(400))
    source = BernoulliVotes(p, NOISE, seed=1)
    found = certifier.certify(source, np.arange(400))
    assert source.draws.mean() * gain < 100_100
    for target in thresholds.grid(certifier.radii)[1:]:
        difference = (found.radius2 >= target).mean() - (cohen.radius2 >= target).mean()
        assert abs(difference) <= 0.015


def test_draws_are_fresh_and_contiguous():
    asked = []

    class Log(BernoulliVotes):
        def votes(self, images, first_draw, count):
            asked.append((first_draw, count, len(images)))
            return super().votes(images, first_draw, count)

    source = Log([0.999, 0.3], NOISE)
    found = Sequential(n1=50, n2=1000).certify(source, np.arange(2))
    assert asked[0] == (0, 50, 2)
    ends = np.cumsum([count for _, count, _ in asked])
    assert [first for first, _, _ in asked[1:]] == ends[:-1].tolist()
    assert source.draws.tolist() == (50 + found.draws).tolist()


def test_clopper_pearson_only_at_the_last_draw():
    """An image that stops early holds a grid radius; one that ends holds what the table says."""
    source = BernoulliVotes(np.linspace(0.5, 1, 60), NOISE)
    found = Sequential(n2=2000, radii=(0.25, 0.5)).certify(source, np.arange(60))
    early = found.draws < 2000
    targets = thresholds.grid((0.25, 0.5))
    assert set(found.radius2[early].tolist()) <= set(targets.tolist())
    final = radius_table(NOISE, 1, 2000, 0.0005)[found.hits[~early]]
    assert (found.radius2[~early] >= final).all()
    assert early.any()
    assert (~early).any()


def test_benchmark_mode_says_so():
    source = BernoulliVotes([0.999, 0.001], NOISE)
    labels = np.array([0, 0])
    found = Sequential(radii=(0.25,)).certify(source, np.arange(2), labels=labels)
    assert not found.deployable
    assert found.selection == 0
    assert found.prediction.tolist() == [0, ABSTAIN]


def test_certificates_of_a_wrong_label_are_kept():
    found = Sequential(radii=(0.25,)).certify(BernoulliVotes([0.001], NOISE), np.arange(1))
    assert found.prediction.tolist() == [1]
    assert found.deployable


@pytest.mark.parametrize("make", [Sequential, lambda n2, **o: Adaptive(stages=(n2,), **o)])
def test_out_of_reach_is_refused(make):
    source = BernoulliVotes([1.0], NOISE)
    with pytest.raises(UserError, match="largest radius"):
        make(n2=10).certify(source, np.arange(1))
    with pytest.raises(UserError, match=r"got 0\.9, above the largest, 0\.6"):
        make(n2=1000, radii=(0.9, 1.0)).certify(source, np.arange(1))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("radii", [(), (0.5, 0.25), (-0.1,), (0.5, 0.5), (NAN,), (0.5, INF)])
def test_impossible_radii_are_refused(radii):
    for kind in (Sequential, Adaptive):
        with pytest.raises(UserError, match="increasing, finite radii"):
            kind(radii=radii)


def test_stages_must_increase():
    with pytest.raises(UserError, match="increasing stages"):
        Adaptive(stages=(1000, 100))


def test_options_are_hashable_whatever_the_config_gave():
    assert hash(Sequential(radii=[0.25, 0.5])) == hash(Sequential(radii=(0.25, 0.5)))
    assert Fraction(Sequential().alpha).limit_denominator(1000) == Fraction(1, 1000)
