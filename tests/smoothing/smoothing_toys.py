"""Small exact worlds for the tests of smoothing."""

from __future__ import annotations

import numpy as np
from scipy import special

from robench.smoothing.noise import Noise


def pmf(noise: Noise, reach: int) -> np.ndarray:
    """Probabilities of -reach ... reach, from the definition."""
    s, k = float(noise.variance) ** 0.5, np.arange(-reach, reach + 1)
    if noise.law == "rounded_gaussian":
        upper = special.ndtr((-np.abs(k) + 0.5) / s)
        return upper - special.ndtr((-np.abs(k) - 0.5) / s)
    weights = np.exp(-(k**2) / (2 * s**2))
    return weights / weights.sum()


class FixedVotes:
    """A vote source that gives the same counts, scaled to the draws asked for."""

    def __init__(self, counts, noise: Noise, pixels: int = 3072) -> None:
        self.counts, self.noise, self.pixels = counts, noise, pixels
        self.asked: list[tuple[int, int]] = []

    def votes(self, images, first_draw, count):
        self.asked.append((first_draw, count))
        return self.counts[count][images]


class BernoulliVotes:
    """Two classes; draw j of image i votes for class 0 when its uniform number is below p[i]."""

    def __init__(self, p, noise: Noise, seed: int = 0, pixels: int = 1) -> None:
        self.p, self.noise, self.pixels, self.seed = np.asarray(p), noise, pixels, seed
        self.draws = np.zeros(len(self.p), dtype=np.int64)

    def votes(self, images, first_draw, count):
        self.draws[images] += count
        rng = np.random.default_rng([self.seed, first_draw, count])
        hits = rng.binomial(count, self.p)[images]
        return np.stack([hits, count - hits], axis=1)
