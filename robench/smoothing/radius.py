"""Certified radii, and the integer tables that replace them at run time.

A certificate holds for integer perturbations delta of an 8-bit image: |delta|^2 <= radius2, where
radius2 is an integer in squared 8-bit units. docs/explanation/smoothing.md has the proof.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.core.outcomes import ABSTAIN as ABSTAIN
from robench.smoothing.bounds import FloatArray, as_fraction, lower_bound, proves
from robench.smoothing.noise import Noise

RADII = ("exact", "lifted", "renyi")

# Far above the error of scipy's quantiles (below 1e-12), far below what a radius is worth.
_GUARD = 1e-10


def exact_radius(p: FloatArray, noise: Noise, pixels: int) -> FloatArray:
    """S * Phi^-1(p) in 8-bit units: exact for one class against the rest (closed ball)."""
    from scipy import special

    return np.asarray(np.sqrt(float(noise.variance)) * special.ndtri(p))


def lifted_radius(p: FloatArray, noise: Noise, pixels: int) -> FloatArray:
    """Radius by comparison with continuous noise rounded at random, in 8-bit units (open ball).

    The best of several widths r of the rounding: sqrt(s^2 - r^2) (Phi^-1(p - eta) -
    Phi^-1(1/2 + eta)), eta = d (e_r + e_s), e_r = 2 exp(-2 pi^2 r^2).
    """
    from scipy import special

    variance, best = float(noise.variance), np.zeros_like(p)
    for width in np.linspace(0.5, 2.0, 31):
        eta = pixels * sum(2 * np.exp(-2 * np.pi**2 * v) for v in (width**2, variance))
        if width**2 < variance and eta < 0.5:
            gap = special.ndtri(np.clip(p - eta, 0.5, 1)) - special.ndtri(0.5 + eta)
            best = np.maximum(best, np.sqrt(variance - width**2) * gap)
    return best


def renyi_radius(p: FloatArray, noise: Noise, pixels: int) -> FloatArray:
    """Radius from Renyi divergences (Li et al., 2019), in 8-bit units (open ball).

    The best of several orders a > 1; each order alone is a valid certificate.
    """
    best, log_p, log_q = np.zeros_like(p), np.log(p), np.log1p(-p)
    for order in 1 + np.logspace(-4, 3, 400):
        both = np.logaddexp((1 - order) * log_p, (1 - order) * log_q)
        log_sum = (both - np.log(2)) / (1 - order) + np.log(2)
        best = np.maximum(best, -2 / order * log_sum)
    return np.sqrt(float(noise.variance) * best)


_FORMULAS: dict[str, Callable[[FloatArray, Noise, int], FloatArray]] = {
    "exact": exact_radius,
    "lifted": lifted_radius,
    "renyi": renyi_radius,
}


def radius_squared(
    p: FloatArray, noise: Noise, pixels: int, kind: str = "exact"
) -> NDArray[np.int64]:
    """Lower bounds on the top class's probability -> radius2, or ABSTAIN where not above 1/2.

    Always rounded down, by a guard of 1e-10 before the floor. `lifted` and `renyi` certify open
    balls: an integer squared radius loses one.
    """
    radius, guard = _radius_and_guard(p, noise, pixels, kind)
    low = np.maximum(radius - guard, 0) ** 2
    squared = np.floor(low) if kind == "exact" else np.maximum(np.ceil(low) - 1, 0)
    return np.where(p > 0.5 + _GUARD, squared, ABSTAIN).astype(np.int64)


def _radius_and_guard(
    p: FloatArray, noise: Noise, pixels: int, kind: str
) -> tuple[FloatArray, FloatArray]:
    radius = _FORMULAS[kind](np.clip(p, 0.5, 1 - 1e-16), noise, pixels)
    return radius, _GUARD * (radius + np.sqrt(float(noise.variance)))


@lru_cache(maxsize=64)
def radius_table(
    noise: Noise, pixels: int, draws: int, alpha: float, kind: str = "exact"
) -> NDArray[np.int64]:
    """Votes of the top class among `draws` -> certified radius2 in squared 8-bit units, or ABSTAIN.

    int64, shape (draws + 1,), read-only, non-decreasing. Confidence 1 - alpha by Clopper-Pearson,
    lowered by pixels * tau for the sampler. Rounded down: `exact` is the true floor (entries
    within the guard of an integer are decided with mpmath), the others keep the guard.
    """
    p = lower_bound(np.arange(draws + 1), draws, alpha) - float(pixels * noise.tau)
    table = radius_squared(p, noise, pixels, kind)
    if kind == "exact":
        radius, guard = _radius_and_guard(p, noise, pixels, kind)
        high = np.floor((radius + guard) ** 2)
        for hits in np.flatnonzero((p > 0.5 - _GUARD) & (high != table)):
            table[hits] = _decide(noise, pixels, draws, alpha, int(hits), int(high[hits]))
    table.setflags(write=False)
    return table


def _decide(noise: Noise, pixels: int, draws: int, alpha: float, hits: int, candidate: int) -> int:
    """The largest radius2 <= candidate, and at least candidate - 1, that the votes prove."""
    for squared in range(candidate, max(candidate - 2, -1), -1):
        if reaches(noise, pixels, draws, alpha, hits, squared):
            return squared
    return ABSTAIN


def reaches(noise: Noise, pixels: int, draws: int, alpha: float, hits: int, squared: int) -> bool:
    """Whether the votes prove the `exact` certificate at radius2 = squared, decided at 240 bits."""
    with mp.workprec(240):
        p = needed_probability(noise, pixels, squared)
        return proves(draws, hits, as_fraction(alpha), p)


def needed_probability(noise: Noise, pixels: int, squared: int) -> mp.mpf:
    """Phi(sqrt(squared) / s) + pixels * tau: what the top class must reach, as an mpmath number."""
    ratio = mp.sqrt(mp.mpf(squared * noise.variance.denominator) / noise.variance.numerator)
    charge = pixels * noise.tau
    return mp.ncdf(ratio) + mp.mpf(charge.numerator) / charge.denominator


def require_useful(noise: Noise, pixels: int, draws: int, alpha: float, kind: str) -> None:
    """Refuse with UserError a budget that could certify no perturbation, naming what it could."""
    if draws < 1 or radius_table(noise, pixels, draws, alpha, kind)[-1] > 0:
        return
    p = lower_bound([draws], draws, alpha) - float(pixels * noise.tau)
    best = float(_radius_and_guard(p, noise, pixels, kind)[0][0]) / 255
    raise UserError(
        f"expected a budget that can certify a change of one 8-bit unit, got {draws} draws at "
        f"alpha={alpha}, whose largest radius is {best:.6f} in [0,1] units (sigma "
        f"{float(noise.sigma):g}); draw more"
    )
