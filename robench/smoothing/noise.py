"""The noise laws and their inverse-CDF tables on the integers, built at high precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError

CDF_BITS = 128
LAWS = ("discrete_gaussian", "rounded_gaussian", "gaussian")
MAX_SUPPORT = 2**14 - 1
"""Largest |noise| in 8-bit units: a table entry holds the value and one flag bit in 16 bits."""

_WORK_BITS = 320


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A noise law added to 8-bit images, independently to each pixel.

    `sigma` is in [0,1] pixel units; floats are read as the decimal they print. `discrete_gaussian`
    has P(k) proportional to exp(-k^2 / (2 s^2)), s = 255 sigma, on the integers (s is that
    parameter, not the standard deviation); `rounded_gaussian` is round(s G). `gaussian` is the
    continuous law of float classifiers: it has no table, and certificates under it are labelled
    approximate. Raises UserError for sigma <= 0 or an unknown law.
    """

    sigma: Fraction
    law: str = "discrete_gaussian"

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            raise UserError(
                f"expected a noise law of {', '.join(LAWS)}, got {self.law!r}; name one"
            )
        object.__setattr__(self, "sigma", Fraction(str(self.sigma)))
        if self.sigma <= 0:
            raise UserError(f"expected sigma > 0, got {self.sigma}; give it in [0,1] pixel units")

    @property
    def variance(self) -> Fraction:
        """The square of s = 255 sigma, in squared 8-bit units."""
        return (255 * self.sigma) ** 2

    @property
    def tau(self) -> Fraction:
        """Bound on the total variation between the sampled and the exact law of one pixel."""
        return Fraction(0) if self.law == "gaussian" else noise_table(self).tau


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseTable:
    """Integers that turn uniform bits into noise.

    `high` and `low` (uint64, length 2 * bound) are the two halves of floor(2^128 P(noise <= k))
    for k = -bound ... bound - 1. `lut` (int16, length 65536) maps the 16 leading bits to
    2 * value, plus 1 when those bits leave the value open. `tau` bounds the total variation per
    pixel: (2 bound + 1) 2^-128 for the rounding, plus the mass beyond `bound`.
    """

    bound: int
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    lut: NDArray[np.int16]
    tau: Fraction


@lru_cache(maxsize=16)
def noise_table(noise: Noise) -> NoiseTable:
    """The table of a law on the integers; UserError if it has none or needs over 15 bits."""
    if noise.law == "gaussian":
        raise UserError(
            "expected noise on the integers, got the continuous law; use discrete_gaussian"
        )
    bound = math.ceil(math.sqrt(float(noise.variance) * 2 * math.log(2) * CDF_BITS)) + 2
    if bound > MAX_SUPPORT:
        raise UserError(
            f"expected sigma below 4.8, got {noise.sigma}; its noise needs over 15 bits"
        )
    with mp.workprec(_WORK_BITS):
        above = _LAW_TAILS[noise.law](noise.variance, bound)
        scale = mp.mpf(2) ** CDF_BITS
        upper = [int(mp.floor(scale * p)) for p in above[bound:0:-1]]  # P(X <= -k) = P(X >= k)
        # Of a tail below the working precision, 1 - p is 1: its floor is one unit too many.
        lower = [min(int(mp.floor(scale * (1 - p))), 2**CDF_BITS - 1) for p in above[1 : bound + 1]]
        tail = 2 * Fraction(int(mp.ceil(mp.ldexp(above[bound + 1], 300))), 2**300)
    cdf = upper + lower
    high = np.array([c >> 64 for c in cdf], dtype=np.uint64)
    low = np.array([c & (2**64 - 1) for c in cdf], dtype=np.uint64)
    tau = Fraction(2 * bound + 1, 2**CDF_BITS) + tail
    return NoiseTable(bound=bound, high=high, low=low, lut=leading_bits(high), tau=tau)


def leading_bits(high: NDArray[np.uint64]) -> NDArray[np.int16]:
    """The table of the 16 leading bits: 2 * value + (1 if a threshold lies among its numbers)."""
    first = np.arange(65536, dtype=np.uint64) << np.uint64(48)
    last = first | np.uint64(2**48 - 1)
    # A number equal to a rounded-down threshold is still open: the threshold is at or above it.
    least = np.searchsorted(high, first, side="left")
    most = np.searchsorted(high, last, side="right")
    doubled: NDArray[np.int64] = 2 * (least - len(high) // 2) + (least != most)
    return doubled.astype(np.int16)


def _discrete_tails(variance: Fraction, bound: int) -> list[mp.mpf]:
    """P(X >= k) for k = 0 ... bound + 1 under the discrete Gaussian."""
    last = bound + math.ceil(8 * math.sqrt(variance)) + 8
    rate = -mp.mpf(variance.denominator) / (2 * variance.numerator)
    tails = [mp.mpf(0)]
    for k in range(last, -1, -1):
        tails.append(tails[-1] + mp.exp(rate * k * k))
    tails.reverse()
    total = tails[0] + tails[1]
    return [tail / total for tail in tails[: bound + 2]]


def _rounded_tails(variance: Fraction, bound: int) -> list[mp.mpf]:
    """P(X >= k) for k = 0 ... bound + 1 under round(s G)."""
    width = mp.sqrt(mp.mpf(2 * variance.numerator) / variance.denominator)
    return [mp.erfc((k - mp.mpf(1) / 2) / width) / 2 for k in range(bound + 2)]


_LAW_TAILS: dict[str, Callable[[Fraction, int], list[mp.mpf]]] = {
    "discrete_gaussian": _discrete_tails,
    "rounded_gaussian": _rounded_tails,
}
