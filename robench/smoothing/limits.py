"""How far votes can certify at most: what a table of certificates is held against.

A certifier's own tables need the number of pixels and every look at the votes, which a stored
certificate does not have. These bounds need neither, and no honest certificate exceeds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robench.smoothing import thresholds
from robench.smoothing.adaptive import Adaptive
from robench.smoothing.cohen import Cohen
from robench.smoothing.noise import Noise
from robench.smoothing.radius import ABSTAIN, exact_radius, lifted_radius, renyi_radius
from robench.smoothing.sequential import Sequential

Counts = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Rule = Cohen | Sequential | Adaptive

_FORMULAS = {"exact": exact_radius, "lifted": lifted_radius, "renyi": renyi_radius}
_SLACK = 1e-6
"""Relative excess that is granted; integers leave no honest radius nearer to its bound."""


def votes_lower_bound(hits: Counts, draws: Counts, alpha: float) -> FloatArray:
    """The one-sided Clopper-Pearson bound of `bounds.lower_bound`, without loading scipy.stats."""
    from scipy import special

    bound = special.betaincinv(np.maximum(hits, 1), draws - hits + 1, alpha)
    return np.where(hits > 0, bound, 0.0)


def draws_possible(rule: Rule) -> Counts:
    """Numbers of counting draws after which the rule may stop."""
    if isinstance(rule, Sequential):
        return thresholds.looks_up_to(rule.n2)
    return np.array(rule.stages if isinstance(rule, Adaptive) else [rule.n2], dtype=np.int64)


def most_certified(
    rule: Rule, noise: Noise, hits: Counts, draws: Counts, radii: Sequence[float]
) -> Counts:
    """Per image the largest radius2 (squared 8-bit units) that so many votes can have proved.

    `hits` of `draws` counting votes, int64 (N,), 0 <= hits <= draws; `radii` those asked for, in
    [0,1] units. ABSTAIN where they prove none.
    """
    # Many images have all votes, so that few counts differ.
    (hits, draws), each = np.unique(np.stack([hits, draws]), axis=1, return_inverse=True)
    return _most(rule, noise, hits, draws, tuple(radii))[each.ravel()]


def _most(
    rule: Rule, noise: Noise, hits: Counts, draws: Counts, radii: tuple[float, ...]
) -> Counts:
    if isinstance(rule, Cohen):
        return _fixed(noise, hits, draws, rule.alpha, rule.radius)
    if isinstance(rule, Sequential):
        last = np.where(
            draws == rule.n2, _fixed(noise, hits, draws, rule.alpha / 2, rule.radius), ABSTAIN
        )
        return np.maximum(last, _climbed(rule, noise, hits, draws, radii))
    share = rule.alpha / len(rule.stages)
    found = _fixed(noise, hits, draws, share, rule.radius)
    for stage in rule.stages:
        # The votes of an earlier stage are not kept, so it may have had them all.
        full = np.array([stage], dtype=np.int64)
        best = _fixed(noise, full, full, share, rule.radius)[0]
        found = np.where(draws > stage, np.maximum(found, best), found)
    return found


def _fixed(noise: Noise, hits: Counts, draws: Counts, alpha: float, kind: str) -> Counts:
    p = votes_lower_bound(hits, draws, alpha)
    radius = _FORMULAS[kind](np.clip(p, 0.5, 1 - 1e-16), noise, 0)
    squared = np.floor((radius * (1 + _SLACK) + _SLACK) ** 2)
    return np.where(p > 0.5 - _SLACK, squared, ABSTAIN).astype(np.int64)


def _climbed(
    rule: Sequential, noise: Noise, hits: Counts, draws: Counts, radii: tuple[float, ...]
) -> Counts:
    """The largest radius of the list that some look up to the last one can have certified.

    The votes at a look are not kept: at best all misses came after it.
    """
    p, looks = _needed(rule, noise, radii), thresholds.looks_up_to(rule.n2)
    level = np.log(2 / rule.alpha) - _SLACK
    at_best = np.minimum(hits[:, None], looks)
    seen = looks <= draws[:, None]
    found = np.full(len(hits), ABSTAIN)
    for radius2, probability in zip(thresholds.grid(radii)[1:], p, strict=True):
        value = thresholds.log_e_value(at_best, looks, probability * (1 - _SLACK))
        found = np.where((seen & (value >= level)).any(1), radius2, found)
    return found


@lru_cache(maxsize=32)
def _needed(rule: Sequential, noise: Noise, radii: tuple[float, ...]) -> FloatArray:
    return thresholds.needed_probabilities(noise, 0, radii, rule.radius)
