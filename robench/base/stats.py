"""Intervals for shares and paired tests on the same images.

The formulas are written out, and tested against scipy: every run needs one of them, and importing
scipy.stats takes longer than all else that a cached run does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Z95 = 1.959963984540054
"""Quantile of the normal distribution for two-sided 95 % intervals."""


@lru_cache(4096)
def wilson(hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a share: (low, high) in [0,1] (Wilson, 1927).

    Raises ValueError unless 0 <= hits <= n and n > 0.
    """
    if not 0 <= hits <= n or n == 0:
        raise ValueError(f"expected 0 <= hits <= n and n > 0, got hits={hits}, n={n}")
    share, spread = hits / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    return low, 1.0 if hits == n else min(1.0, centre + half)


@dataclass(frozen=True)
class Paired:
    """Two systems on the same images: the difference of their accuracies and its p-value."""

    difference: float
    """Accuracy of the first minus the second, in [-1,1]."""
    low: float
    high: float
    """95 % interval of the difference (Newcombe 1998, method 10)."""
    only_first: int
    only_second: int
    n: int

    @property
    def p_value(self) -> float:
        """Exact two-sided McNemar test of no difference."""
        return mcnemar(self.only_first, self.only_second)


def paired(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """Compare per-image successes, shape (N,) each, of two systems on the same images.

    Raises ValueError when the shapes differ or no image is given.
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise ValueError(f"expected two vectors of one length, got {first.shape}, {second.shape}")
    both, one, other = map(count, (first & second, first, second))
    return paired_counts(both, one - both, other - both, len(first))


def paired_counts(both: int, only_first: int, only_second: int, n: int) -> Paired:
    """The same from counts of images: on which both succeed, or one alone, of n.

    Raises ValueError unless they are counts of n images.
    """
    neither = n - both - only_first - only_second
    if n <= 0 or min(both, only_first, only_second, neither) < 0:
        raise ValueError(f"expected counts of {n} images, got {(both, only_first, only_second)}")
    low, high = _newcombe(both, only_first, only_second, neither)
    return Paired((only_first - only_second) / n, low, high, only_first, only_second, n)


def count(truths: NDArray[np.bool_]) -> int:
    """How many are true, in a tenth of the time that a sum takes of as few as a run has images."""
    return truths.tobytes().count(1)


def newcombe_unpaired(hits: int, n: int, others: int, of: int) -> tuple[float, float]:
    """Newcombe's 95 % interval of hits/n - others/of, for shares counted apart.

    Statistics in Medicine 17 (1998) 873-890, method 10. For shares of the same images it is wider
    than a paired one. Raises ValueError like `wilson`.
    """
    (l1, u1), (l2, u2) = wilson(hits, n), wilson(others, of)
    p1, p2 = hits / n, others / of
    return p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)


def mcnemar(b: int, c: int) -> float:
    """Exact two-sided McNemar p-value from the two counts of disagreement (McNemar, 1947)."""
    n = b + c
    # Twice P(Binomial(n, 1/2) <= min(b, c)), in integers.
    below, term = 0, 1
    for k in range(min(b, c) + 1):
        below += term
        term = term * (n - k) // (k + 1)
    return min(1.0, float(2 * below / 2**n))


def at_least(hits: int, n: int, share: float = 0.5) -> float:
    """Probability of at least `hits` successes among `n`, each with probability `share`.

    Raises ValueError unless 0 <= share <= 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share in [0,1], got {share}")
    terms = (math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(hits, n + 1))
    return min(1.0, math.fsum(terms))


def at_most(hits: int, n: int, share: float) -> float:
    """Probability of at most `hits` successes among `n`, however many, each with 0 < share < 1."""
    return min(1.0, math.fsum(islice(_binomial(n, share), hits + 1)))


def explained(n: int, share: float, chance: float) -> int:
    """The least number that the successes among `n` exceed with probability `chance` at most.

    Each succeeds with probability `share`, above 0 and below 1; `chance` well above 1e-12.
    """
    below = 0.0
    for hits, term in enumerate(_binomial(n, share)):
        below += term
        if 1 - below <= chance:
            return hits
    return n


def _binomial(n: int, share: float) -> Iterator[float]:
    """Probabilities of 0, 1 ... n successes, by logarithms, which no n makes overflow."""
    log, log_not, all_ = math.log(share), math.log1p(-share), math.lgamma(n + 1)
    for k in range(n + 1):
        ways = all_ - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        yield math.exp(ways + k * log + (n - k) * log_not)


@lru_cache(4096)
def _newcombe(a: int, b: int, c: int, d: int) -> tuple[float, float]:
    """Newcombe's hybrid score interval for a paired difference, with his continuity-corrected phi.

    Statistics in Medicine 17 (1998) 2635-2650, method 10.
    """
    n = a + b + c + d
    p1, p2 = (a + b) / n, (a + c) / n
    (l1, u1), (l2, u2) = wilson(a + b, n), wilson(a + c, n)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    cross = a * d - b * c
    numerator = max(cross - n / 2, 0) if cross > 0 else cross
    phi = numerator / math.sqrt(margins) if margins else 0.0
    dl1, du1, dl2, du2 = p1 - l1, u1 - p1, p2 - l2, u2 - p2
    low = math.sqrt(max(0.0, dl1**2 - 2 * phi * dl1 * du2 + du2**2))
    high = math.sqrt(max(0.0, du1**2 - 2 * phi * du1 * dl2 + dl2**2))
    return max(-1.0, p1 - p2 - low), min(1.0, p1 - p2 + high)
