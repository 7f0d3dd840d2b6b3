"""Binomial confidence bounds, and the exact tail that decides where floats cannot."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def lower_bound(hits: ArrayLike, draws: ArrayLike, alpha: float) -> FloatArray:
    """One-sided Clopper-Pearson lower bound on a proportion, confidence 1 - alpha; 0 for no hit."""
    from scipy import stats  # here and below: configuration imports these modules, scipy is slow

    k, n = np.broadcast_arrays(np.asarray(hits), np.asarray(draws))
    bound = stats.beta.ppf(alpha, np.maximum(k, 1), n - k + 1)
    return np.where(k > 0, bound, 0.0)


def upper_bound(hits: ArrayLike, draws: ArrayLike, alpha: float) -> FloatArray:
    """One-sided Clopper-Pearson upper bound on a proportion, confidence 1 - alpha."""
    k, n = np.broadcast_arrays(np.asarray(hits), np.asarray(draws))
    return 1.0 - lower_bound(n - k, n, alpha)


def binomial_tail(draws: int, hits: int, p: Any) -> Any:
    """P(Bin(draws, p) >= hits) for an mpmath number p < hits / draws, at the current precision.

    The terms fall geometrically; the sum stops when the rest is below 2^-120 of it.
    """
    ratio = p / (1 - p)
    log_first = (
        mp.loggamma(draws + 1) - mp.loggamma(hits + 1) - mp.loggamma(draws - hits + 1)
        + hits * mp.log(p) + (draws - hits) * mp.log(1 - p)
    )  # fmt: skip
    total = term = mp.mpf(1)
    for k in range(hits, draws):
        term *= ratio * (draws - k) / (k + 1)
        total += term
        if term < mp.ldexp(total, -140):
            break
    return mp.exp(log_first) * total


def proves(draws: int, hits: int, alpha: Fraction, p: Any) -> bool:
    """Whether the Clopper-Pearson lower bound is above the mpmath number p; no within 2^-100."""
    if hits <= draws * p:
        return False
    tail = binomial_tail(draws, hits, p) * (1 + mp.ldexp(1, -100))
    return bool(tail < mp.mpf(alpha.numerator) / alpha.denominator)


def as_fraction(alpha: float) -> Fraction:
    """The decimal that a float prints, exactly."""
    return Fraction(str(alpha))
