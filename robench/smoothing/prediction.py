"""Algorithm 2: the label most draws agree on, or ABSTAIN, with integers only."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robench.smoothing.bounds import as_fraction
from robench.smoothing.radius import ABSTAIN
from robench.smoothing.votes import VoteSource


@lru_cache(maxsize=16)
def prediction_table(draws: int, alpha: float) -> NDArray[np.int64]:
    """NA + nB -> least nA that Algorithm 2 accepts, for sums 0 ... draws.

    The two-sided binomial test at p = 1/2 of the top two counts accepts when its p-value is at
    most alpha (Cohen et al. 2019, section 3.2.2; the paper's Algorithm 2 prints 0.5). int64,
    shape (draws + 1,), read-only; sum + 1 stands for never. Exact: a p-value within 1e-9 of
    alpha is decided with integers.
    """
    from scipy import stats

    sums = np.arange(draws + 1)
    least: NDArray[np.int64] = np.clip(
        stats.binom.isf(alpha / 2, sums, 0.5) + 1, sums // 2 + 1, sums + 1
    ).astype(np.int64)
    for step in (-1, 0):
        tail = stats.binom.sf(least + step - 1, sums, 0.5)
        for i in np.flatnonzero(np.abs(tail / (alpha / 2) - 1) < 1e-9):
            least[i] = _least_exactly(int(i), int(least[i]), as_fraction(alpha))
    least.setflags(write=False)
    return least


def _least_exactly(total: int, guess: int, alpha: Fraction) -> int:
    """The least count among guess - 2 ... guess + 2 whose exact p-value is at most alpha."""
    start = max(guess - 2, total // 2 + 1)
    terms = [math.comb(total, k) for k in range(start, total + 1)]
    tail = sum(terms)
    for k, term in enumerate(terms, start):
        if 2 * tail * alpha.denominator <= alpha.numerator << total:
            return k
        tail -= term
    return total + 1


def predict(
    source: VoteSource, images: NDArray[np.int64], draws: int, alpha: float, first_draw: int = 0
) -> NDArray[np.int64]:
    """Labels by majority of `draws` votes, ABSTAIN where the top two are too close at alpha."""
    least = prediction_table(draws, alpha)
    counts = source.votes(images, first_draw, draws)
    return decide(counts, least)


LOOKS = (27, 9, 3, 1)
"""`predict_early` looks after these fractions of its draws, 1/27 first."""


def predict_early(
    source: VoteSource, images: NDArray[np.int64], draws: int, alpha: float
) -> NDArray[np.int64]:
    """Labels or ABSTAIN as `predict`, at the same alpha but with far fewer draws where it is clear.

    Algorithm 2 at alpha / 4 after each of four growing numbers of draws, at most `draws`: a wrong
    label needs one of the four tests to err (union bound).
    """
    return decide_early(source, images, draws, alpha)[0]


def decide_early(
    source: VoteSource, images: NDArray[np.int64], draws: int, alpha: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `predict_early`, with the votes behind each answer: int64 (N, classes)."""
    least = prediction_table(draws, alpha / len(LOOKS))
    found, open_, seen = np.full(len(images), ABSTAIN, dtype=np.int64), np.arange(len(images)), 0
    counts: NDArray[np.int64] | None = None
    for upto in sorted({max(draws // part, 1) for part in LOOKS}):
        fresh = source.votes(images[open_], seen, upto - seen)
        if counts is None:
            counts = np.zeros((len(images), fresh.shape[1]), dtype=np.int64)
        counts[open_] += fresh
        seen, found[open_] = upto, decide(counts[open_], least)
        open_ = open_[found[open_] == ABSTAIN]
        if not len(open_):
            break
    assert counts is not None
    return found, counts


def decide(counts: NDArray[np.int64], least: NDArray[np.int64]) -> NDArray[np.int64]:
    """The label with most votes where there are enough of them, else ABSTAIN."""
    top = counts.argmax(1)
    rows = np.arange(len(counts))
    most = counts[rows, top]
    others = counts.copy()
    others[rows, top] = -1
    second = others.max(1)
    return np.where(most >= least[most + second], top, ABSTAIN)
