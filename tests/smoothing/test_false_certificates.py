"""The exact probability of a false certificate of `Sequential`, by its own integer tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats

from robench.smoothing import thresholds
from robench.smoothing.noise import Noise
from robench.smoothing.radius import radius_squared
from robench.smoothing.sequential import Plan, Sequential

TRIMMED = 1e-15
"""Counts of misses that are together less likely are dropped; they count as false certificates."""


def false_certificates(plan: Plan, p: float, true2: int) -> float:
    """Probability that a class of probability p is certified beyond true2 (squared 8-bit units).

    Of a run that never gives up and looks at every look: whatever stops earlier has less. At each
    look those that pass leave the distribution of the misses of those that have not.
    """
    beyond = int(np.argmax(np.append(plan.grid, np.iinfo(np.int64).max) > true2)) - 1
    never = plan.looks + 1
    least = plan.climb[beyond] if beyond < len(plan.climb) else never
    at_end = int(np.searchsorted(plan.final, true2, side="right"))
    least = np.append(least[:-1], min(least[-1], at_end))
    misses, false = np.ones(1), 0.0
    for (before, now), enough in zip(pairwise([0, *plan.looks.tolist()]), least, strict=True):
        more = now - before
        most = int(stats.binom.isf(TRIMMED, more, 1 - p))
        false += TRIMMED
        misses = np.convolve(misses, stats.binom.pmf(np.arange(most + 1), more, 1 - p))
        passed = max(0, now - int(enough) + 1)
        false += misses[:passed].sum()
        misses[:passed] = 0
    return float(false)


def at_and_around(radii: tuple[float, ...], noise: Noise, pixels: int) -> list[float]:
    """Probabilities at the edge of each radius, to either side, between them, and at one half."""
    edges = thresholds.needed_probabilities(noise, pixels, radii, "exact")
    edges = edges[edges < 1 - 1e-5]
    between = special.ndtr(np.convolve(special.ndtri(edges), [0.5, 0.5], "valid"))
    around = [edge * (1 + off) for edge in edges for off in (-1e-9, 1e-9, -1e-3)]
    return [0.5, *around, *between.tolist()]


SETTINGS = [
    ("0.12", (0.0, 0.1, 0.2, 0.3), 1_000, 0.05),
    ("0.25", (0.0, 0.25, 0.5, 0.75), 10_000, 0.001),
    ("0.5", (0.0, 0.05, 0.5), 1_000, 0.001),
    ("1.0", (0.25, 0.5, 1.0, 2.0), 250, 0.05),
]
LARGE = [
    (sigma, tuple(float(sigma) * r for r in radii), 100_000, alpha)
    for sigma in ("0.12", "0.25", "0.5", "1.0")
    for radii, alpha in (
        ((0.0, 1.0, 2.0, 3.0), 0.05),
        ((0.0, 0.4, 1.0, 1.6, 2.0, 2.4, 3.0, 3.7), 0.001),
    )
]


@pytest.mark.parametrize(
    ("sigma", "radii", "n2", "alpha"),
    [*SETTINGS, *(pytest.param(*each, marks=pytest.mark.slow) for each in LARGE)],
)
def test_no_rule_of_stopping_exceeds_alpha(sigma, radii, n2, alpha):
    noise, pixels = Noise(sigma=sigma), 3072
    plan = Sequential(n2=n2, alpha=alpha).plan(noise, pixels, radii)
    worst = 0.0
    for p in at_and_around(radii, noise, pixels):
        true2 = int(radius_squared(np.array([p]), noise, pixels)[0])
        worst = max(worst, false_certificates(plan, p, true2))
    assert 0.2 * alpha < worst <= alpha


def test_the_programme_is_the_distribution_of_the_runs():
    """Of one radius, against simulation: what passes at a look is counted once."""
    noise, alpha, runs = Noise(sigma="0.25"), 0.2, 20_000
    plan = Sequential(n2=300, alpha=alpha).plan(noise, 64, (0.0, 0.25))
    p = float(thresholds.needed_probabilities(noise, 64, (0.25,), "exact")[0]) * (1 - 1e-9)
    true2 = thresholds.squared_target(0.25) - 1
    rng, looks = np.random.default_rng(0), plan.looks
    hits = rng.binomial(np.diff(looks, prepend=0), p, (runs, len(looks))).cumsum(1)
    passed = (hits >= plan.climb[1]).any(1) | (plan.final[hits[:, -1]] > true2)
    exact = false_certificates(plan, p, true2)
    assert abs(passed.mean() - exact) < 4 * np.sqrt(exact / runs)
