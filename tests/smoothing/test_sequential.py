from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from robench.base.errors import UserError
from robench.smoothing import thresholds
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.cohen import Cohen
from robench.smoothing.noise import Noise
from robench.smoothing.radius import ABSTAIN, radius_table
from robench.smoothing.sequential import Sequential
from tests.smoothing.smoothing_toys import BernoulliVotes

NOISE = Noise(sigma="0.25")
RADII_GRID = (0.25, 0.5, 0.75)


def p_of(radius: float) -> float:
    return float(thresholds.needed_probabilities(NOISE, 1, (radius,), "exact")[0])


@pytest.mark.parametrize("radius", RADII_GRID)
def test_type_one_error_of_the_whole_procedure(radius):
    """At the edge of a radius, certifying it is an error: at most alpha + 3 standard errors."""
    runs, alpha = 4000, 0.05
    source = BernoulliVotes(np.full(runs, p_of(radius) - 1e-9), NOISE, seed=3)
    certifier = Sequential(n1=1, n2=3000, alpha=alpha)
    found = certifier.certify(
        source, np.arange(runs), RADII_GRID, labels=np.zeros(runs, dtype=np.int64)
    )
    false = (found.radius2 >= thresholds.squared_target(radius)).mean()
    assert false <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)
    assert false > 0.001  # the simulation can see errors


@pytest.mark.parametrize("radius", [0.25, 0.5])
def test_type_one_error_of_adaptive(radius):
    runs, alpha = 4000, 0.05
    source = BernoulliVotes(np.full(runs, p_of(radius) - 1e-9), NOISE, seed=4)
    certifier = Adaptive(n1=1, stages=(100, 1000, 3000), alpha=alpha)
    found = certifier.certify(source, np.arange(runs), RADII_GRID)
    false = (found.radius2 >= thresholds.squared_target(radius)).mean()
    assert 0.001 < false <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


@pytest.mark.parametrize(
    ("certifier", "radii", "gain"),
    [
        (Sequential(n2=100_000), RADII_GRID, 5),
        (Sequential(n2=100_000), (0.5,), 20),
        (Adaptive(), RADII_GRID, 3),
    ],
)
def test_fewer_draws_than_cohen_for_the_same_certified_accuracy(certifier, radii, gain):
    p = np.random.default_rng(0).beta(2, 0.4, 400)
    cohen = Cohen().certify(BernoulliVotes(p, NOISE), np.arange(400))
    source = BernoulliVotes(p, NOISE, seed=1)
    found = certifier.certify(source, np.arange(400), radii)
    assert source.draws.mean() * gain < 100_100
    for target in thresholds.grid(radii)[1:]:
        difference = (found.radius2 >= target).mean() - (cohen.radius2 >= target).mean()
        assert abs(difference) <= 0.015


def test_draws_are_fresh_and_contiguous():
    asked = []

    class Log(BernoulliVotes):
        def votes(self, images, first_draw, count):
            asked.append((first_draw, count, len(images)))
            return super().votes(images, first_draw, count)

    source = Log([0.999, 0.3], NOISE)
    found = Sequential(n1=50, n2=1000).certify(source, np.arange(2), RADII_GRID)
    assert asked[0] == (0, 50, 2)
    ends = np.cumsum([count for _, count, _ in asked])
    assert [first for first, _, _ in asked[1:]] == ends[:-1].tolist()
    assert source.draws.tolist() == (50 + found.draws).tolist()


def one_image_by_the_book(plan, source, image, label, first):
    """What the class promises, one image at a time: hits, draws and radii certified."""
    hits = climbed = seen = 0
    for look, upto in enumerate(plan.looks.tolist()):
        hits += int(source.votes(np.array([image]), first + seen, upto - seen)[0, label])
        seen = upto
        while climbed < len(plan.climb) and hits >= plan.climb[climbed, look]:
            climbed += 1
        if climbed == len(plan.climb) or hits < plan.give_up[climbed, look]:
            break
    return hits, seen, climbed


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize(("n1", "n2"), [(20, 2000), (1, 250), (10, 60)])
def test_every_image_is_certified_as_if_it_were_alone(n1, n2, labelled):
    """In any order, a part of the source's images, by the book."""
    p = np.concatenate([np.linspace(0, 1, 25), np.linspace(0.7, 1, 40)])
    certifier, radii = Sequential(n1=n1, n2=n2, alpha=0.1), (0.0, 0.05, 0.25)
    source = BernoulliVotes(p, NOISE, seed=5)
    images = np.random.default_rng(0).permutation(len(p))[:50]
    labels = np.arange(50) % 2 if labelled else None
    result = certifier.certify(source, images, radii, labels=labels)
    plan, first = certifier.plan(NOISE, 1, radii), 0 if labelled else n1
    assert result.selection == first
    for row, image in enumerate(images.tolist()):
        label = row % 2 if labelled else int(source.votes(np.array([image]), 0, n1).argmax())
        hits, draws, climbed = one_image_by_the_book(plan, source, image, label, first)
        assert (result.hits[row], result.draws[row]) == (hits, draws)
        radius2 = int(plan.grid[climbed])
        if draws == n2:
            radius2 = max(radius2, int(plan.final[hits]))
        assert result.radius2[row] == radius2
        assert result.prediction[row] == (ABSTAIN if radius2 == ABSTAIN else label)
    assert len(set(result.draws.tolist())) > 1 or n2 <= 100


def test_the_tables_are_those_of_half_of_alpha():
    """E-process and Clopper-Pearson share alpha."""
    plan = Sequential(n2=3000, alpha=0.05).plan(NOISE, 3072, RADII_GRID)
    looks, half = thresholds.looks_up_to(3000), 0.025
    p = thresholds.needed_probabilities(NOISE, 3072, RADII_GRID, "exact")
    final = radius_table(NOISE, 3072, 3000, half)
    needed = thresholds.needed_counts(final, RADII_GRID)
    assert np.array_equal(plan.looks, looks)
    assert np.array_equal(plan.climb, thresholds.climb_thresholds(looks, p, half))
    assert np.array_equal(plan.final, final)
    assert np.array_equal(plan.grid, thresholds.grid(RADII_GRID))
    hope = thresholds.give_up_thresholds(looks, 3000, False, needed)
    assert np.array_equal(plan.give_up, hope)


def test_the_tables_are_made_once():
    make = Sequential(n2=500).plan
    assert make(NOISE, 7, (0.1,)) is make(NOISE, 7, [0.1])


def test_the_usual_budget_is_the_papers_tenth():
    assert Sequential() == Sequential(n1=100, n2=10_000, alpha=0.001, radius="exact")


@pytest.mark.parametrize("options", [{"n1": 0}, {"n2": 0}, {"alpha": 0.5}, {"radius": "wide"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UserError, match="expected"):
        Sequential(**options)


def test_options_and_tables_do_not_change():
    certifier = Sequential(n2=500)
    plan = certifier.plan(NOISE, 1, (0.1,))
    for value, name in ((certifier, "alpha"), (plan, "climb")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)
    with pytest.raises(TypeError):
        Sequential(100)  # options have names, their order means nothing


def test_nobody_votes_once_every_image_is_settled():
    asked = []

    class Log(BernoulliVotes):
        def votes(self, images, first_draw, count):
            asked.append(len(images))
            return super().votes(images, first_draw, count)

    source = Log([1.0, 0.0, 0.5], NOISE)
    result = Sequential(n1=50, n2=10_000).certify(source, np.arange(3), (0.1,))
    assert (result.draws < 10_000).all()
    assert min(asked) > 0


def test_clopper_pearson_only_at_the_last_draw():
    """An image that stops early holds a grid radius; one that ends holds what the table says."""
    source = BernoulliVotes(np.linspace(0.5, 1, 60), NOISE)
    found = Sequential(n2=2000).certify(source, np.arange(60), (0.25, 0.5))
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
    found = Sequential().certify(source, np.arange(2), (0.25,), labels=labels)
    assert not found.deployable
    assert found.selection == 0
    assert found.prediction.tolist() == [0, ABSTAIN]


def test_certificates_of_a_wrong_label_are_kept():
    found = Sequential().certify(BernoulliVotes([0.001], NOISE), np.arange(1), (0.25,))
    assert found.prediction.tolist() == [1]
    assert found.deployable


@pytest.mark.parametrize("make", [Sequential, lambda n2, **o: Adaptive(stages=(n2,), **o)])
def test_out_of_reach_is_refused(make):
    source = BernoulliVotes([1.0], NOISE)
    with pytest.raises(UserError, match="largest radius"):
        make(n2=10).certify(source, np.arange(1), RADII_GRID)
    with pytest.raises(UserError, match=r"got 0\.9, above the largest, 0\.6"):
        make(n2=1000).certify(source, np.arange(1), (0.0, 0.9, 1.0))


@pytest.mark.parametrize("make", [Sequential, Adaptive])
def test_impossible_radii_are_refused(make):
    with pytest.raises(UserError, match="increasing, finite radii"):
        make().certify(BernoulliVotes([1.0], NOISE), np.arange(1), (0.5, 0.25))


def test_stages_must_increase():
    with pytest.raises(UserError, match="increasing stages"):
        Adaptive(stages=(1000, 100))


def test_options_are_hashable_whatever_the_config_gave():
    assert hash(Adaptive(stages=[100, 1000])) == hash(Adaptive(stages=(100, 1000)))
    assert Fraction(Sequential().alpha).limit_denominator(1000) == Fraction(1, 1000)
