"""No honest certificate exceeds what its votes allow, and a raised one does."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from robench.smoothing import ABSTAIN, Adaptive, Cohen, Noise, Sequential, lower_bound
from robench.smoothing.limits import Rule, draws_possible, most_certified, votes_lower_bound

RADII = (0.0, 0.1, 0.25, 0.5)
RULES: list[Rule] = [
    Cohen(n2=500),
    Cohen(n2=500, radius="renyi"),
    Sequential(n2=2000),
    Sequential(n2=500, alpha=0.05),
    Adaptive(stages=(200, 1000)),
]


class Coins:
    """Two classes; image i votes for the first one with probability i / (images - 1)."""

    def __init__(self, noise: Noise, images: int) -> None:
        self.noise, self.pixels, self.classes = noise, 64, 2
        self.rng, self.images = np.random.default_rng(0), images

    def votes(self, images: np.ndarray, start: int, count: int) -> np.ndarray:
        first = self.rng.binomial(count, images / (self.images - 1))
        return np.stack([first, count - first], axis=1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("law", ["discrete_gaussian", "gaussian"])
def test_honest_certificates_stay_below(rule: Rule, law: str) -> None:
    noise = Noise(sigma=Fraction("0.25"), law=law)
    found = rule.certify(Coins(noise, 400), np.arange(400), RADII)
    most = most_certified(rule, noise, found.hits, found.draws, RADII)
    assert (found.radius2 <= most).all()
    assert (found.radius2 != ABSTAIN).sum() > 100
    assert np.isin(found.draws, draws_possible(rule)).all()
    if isinstance(rule, Cohen):
        # Close: of those certified, one unit more is too much for nearly all.
        certified = found.radius2 > 0
        assert (found.radius2 + 1 > most)[certified].mean() > 0.5
    assert (most <= most_certified(rule, noise, found.draws, found.draws, RADII)).all()


def test_the_bound_is_the_one_of_the_tables() -> None:
    hits, draws = np.arange(101), np.full(101, 100)
    np.testing.assert_allclose(
        votes_lower_bound(hits, draws, 0.001), lower_bound(hits, draws, 0.001), atol=1e-12
    )
