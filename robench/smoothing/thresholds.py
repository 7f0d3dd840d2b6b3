"""Count thresholds of the anytime-valid test and of giving up, made before any draw is seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robench.base.errors import UserError
from robench.smoothing.bounds import FloatArray, as_fraction, upper_bound
from robench.smoothing.noise import Noise
from robench.smoothing.radius import radius_squared, radius_table, require_useful

Counts = NDArray[np.int64]

# The log of the e-value is right to about 1e-9; a test asks this much more.
_LOG_GUARD = 1e-6
# Confidence at which a run gives up: it cannot affect soundness, only how long one tries. On the
# digits (sigma 0.25, 60 seeds), 0.001 takes 1.34 times the draws and certifies 0.5 points more of
# the images at radius 0.75; 0.1 takes 0.89 times, and certifies 0.4 points less.
_GIVE_UP = 0.05


def squared_target(radius: float) -> int:
    """A radius in [0,1] units -> the largest squared 8-bit length within it."""
    return math.floor((255 * as_fraction(radius)) ** 2)


def check_radii(radii: tuple[float, ...]) -> None:
    """Refuse with UserError radii that are not increasing from 0 or above, or not finite."""
    steps = all(a < b for a, b in pairwise(radii))
    if not radii or radii[0] < 0 or not steps or not all(map(math.isfinite, radii)):
        raise UserError(
            f"expected increasing, finite radii >= 0, got {radii}; for example (0.0, 0.25, 0.5)"
        )


def require_reachable(
    noise: Noise, pixels: int, draws: int, alpha: float, kind: str, radii: tuple[float, ...]
) -> None:
    """Refuse with UserError radii of which not even the first above 0 can be certified."""
    require_useful(noise, pixels, draws, alpha, kind)
    best = int(radius_table(noise, pixels, draws, alpha, kind)[-1])
    first = next((radius for radius in radii if radius > 0), 0.0)
    if best < squared_target(first):
        raise UserError(
            f"expected a first radius that {draws} draws can certify, got {first}, above the "
            f"largest, {math.sqrt(best) / 255:.4f}; draw more, or ask for less"
        )


def needed_probabilities(
    noise: Noise, pixels: int, radii: tuple[float, ...], kind: str
) -> FloatArray:
    """For each radius, a probability of the top class that certifies it, rounded up; 1 if none."""
    targets = np.array([squared_target(radius) for radius in radii])
    low, high = np.full(len(radii), 0.5), np.ones(len(radii))
    for _ in range(60):
        middle = (low + high) / 2
        enough = radius_squared(middle, noise, pixels, kind) >= targets
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.minimum(high + float(pixels * noise.tau), 1.0)


def log_e_value(hits: ArrayLike, draws: ArrayLike, p: ArrayLike) -> FloatArray:
    """Log of the e-value against "probability <= p", by Jeffreys' prior cut to [p, 1].

    -inf where hits <= draws * p: there the e-value is at most 1, and nothing may be clamped.
    """
    from scipy import special

    a, n, p = np.broadcast_arrays(
        np.asarray(hits, float), np.asarray(draws, float), np.asarray(p, float)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        mixture = special.betaln(a + 0.5, n - a + 0.5) - special.betaln(0.5, 0.5)
        mixture += np.log(special.betainc(n - a + 0.5, a + 0.5, 1 - p))
        mixture -= np.log(special.betainc(0.5, 0.5, 1 - p))
        value = mixture - a * np.log(p) - special.xlog1py(n - a, -p)
    return np.where((a > n * p) & (p < 1), value, -np.inf)


def climb_thresholds(looks: Counts, p: FloatArray, alpha: float) -> Counts:
    """Least hits that certify radius r at each look, shape (radii, looks); looks + 1 for never."""
    level = math.log(1 / alpha) + _LOG_GUARD
    rows = [
        _least(lambda a, p=p_r: log_e_value(a, looks, p) >= level, looks)  # type: ignore[misc]
        for p_r in p
    ]
    return np.stack(rows)


def give_up_thresholds(looks: Counts, last: int, fresh: bool, needed: Counts) -> Counts:
    """Hits below which a run at each look may not hope for radius r, shape (radii, looks).

    Hope: were the probability at its upper bound, the count among `last` draws would reach
    needed[r]. `fresh` says that those draws are new ones, not a continuation.
    """
    more = np.full_like(looks, last) if fresh else last - looks

    def forecast(hits: Counts) -> Counts:
        rest = np.floor(more * upper_bound(hits, looks, _GIVE_UP)).astype(np.int64)
        return rest + (0 if fresh else hits)

    return np.stack([_least(lambda a, m=m: forecast(a) >= m, looks) for m in needed])  # type: ignore[misc]


def needed_counts(table: Counts, radii: tuple[float, ...]) -> Counts:
    """Least votes whose entry in a radius table reaches each radius; its length for never."""
    return np.searchsorted(table, [squared_target(radius) for radius in radii])


def _least(holds: Callable[[Counts], NDArray[np.bool_]], most: Counts) -> Counts:
    """Least argument in 0 ... most for which a monotone condition holds, else most + 1."""
    low, high = np.zeros_like(most), most + 1
    while (low < high).any():
        middle = np.minimum((low + high) // 2, most)
        found = holds(middle) & (low < high)
        high = np.where(found, middle, high)
        low = np.where(found | (low >= high), low, middle + 1)
    return high


def grid(radii: Sequence[float]) -> Counts:
    """Number of radii certified -> radius2: ABSTAIN, then the squared targets."""
    return np.array([-1, *(squared_target(radius) for radius in radii)], dtype=np.int64)


def looks_up_to(last: int) -> Counts:
    """Draws at which a sequential run looks: from 100 by 12 % each, ending with `last`."""
    looks, n = [], Fraction(100)
    while n < last:
        looks.append(math.floor(n))
        n *= Fraction(112, 100)
    return np.array([*looks, last], dtype=np.int64)
