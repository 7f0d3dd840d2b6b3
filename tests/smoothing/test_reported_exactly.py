"""Every certified value of a record, worked out again from its votes without robench's smoothing.

Bounds, radii, shares and means below are written down from the papers, in exact rationals and
50-digit numbers; only the noise of the votes is robench's.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from types import SimpleNamespace
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import robench
from robench.smoothing import Noise
from robench_certifiers.certifiers import Adaptive, Cohen, Sequential
from robench_metrics import certified as reporting

PIXELS, SIGMA, RADII = 64, Fraction("0.25"), [0.0, 0.1, 0.25, 0.5, 0.6]
S = 255 * mp.mpf(1) / 4
"""The standard deviation in 8-bit units."""


class Votes:
    """Three classes; image i votes for class i % 3 with probability p[i], else for the next."""

    noise, pixels = Noise(sigma=SIGMA), PIXELS

    def __init__(self, p: list[float]) -> None:
        draws = np.random.default_rng(7).random((len(p), 12_000)) < np.array(p)[:, None]
        own = np.arange(len(p))[:, None] % 3
        self.labels = np.where(draws, own, (own + 1) % 3)

    def votes(self, images: np.ndarray, first: int, count: int) -> np.ndarray:
        drawn = self.labels[images, first : first + count]
        assert drawn.shape[1] == count
        return np.stack([(drawn == c).sum(1) for c in range(3)], axis=1)


P = [*np.linspace(0.3, 1, 24), 0.5, 0.55, 0.999, 0.9995, 1.0, 1.0]
LABELS = np.where(np.arange(len(P)) % 7 == 3, 2, np.arange(len(P)) % 3)
"""The true labels: of every seventh image or so another one than the votes'."""


# -- the papers' arithmetic ------------------------------------------------------------------------


def tail(hits: int, draws: int, p: mp.mpf) -> mp.mpf:
    """P(Bin(draws, p) >= hits)."""
    return mp.betainc(hits, draws - hits + 1, 0, p, regularized=True) if hits else mp.mpf(1)


def proves(hits: int, draws: int, alpha: Fraction, squared: int) -> bool:
    """Whether Clopper and Pearson's lower bound is above Phi(sqrt(squared) / s)."""
    p = mp.ncdf(mp.sqrt(squared) / S)
    return hits > draws * p and tail(hits, draws, p) < mp.mpf(alpha.numerator) / alpha.denominator


@cache
def largest(hits: int, draws: int, alpha: Fraction) -> int:
    """The largest squared radius that so many votes prove, -1 for none."""
    bound = stats.beta.ppf(float(alpha), hits, draws - hits + 1) if hits else 0.0
    near = math.floor((float(S) * max(stats.norm.ppf(bound), 0)) ** 2)
    return max(
        (r for r in range(max(near - 1, 0), near + 2) if proves(hits, draws, alpha, r)), default=-1
    )


def evidence_against(hits: int, draws: int, squared: int) -> mp.mpf:
    """The e-value against p <= Phi(sqrt(squared) / s): Jeffreys' prior on [p, 1] over the binomial
    likelihood at p."""
    p, half = mp.ncdf(mp.sqrt(squared) / S), mp.mpf(1) / 2
    if hits <= draws * p:
        return mp.mpf(0)
    mixed = mp.betainc(hits + half, draws - hits + half, p, 1)
    return mixed / mp.betainc(half, half, p, 1) / (p**hits * (1 - p) ** (draws - hits))


def within(radius: float) -> int:
    """The largest squared 8-bit length in a radius in [0,1] units."""
    return math.floor((255 * Fraction(str(radius))) ** 2)


def by_cohen(counts: np.ndarray, n1: int, n2: int, alpha: Fraction) -> tuple[int, int]:
    """Algorithm 1: label, squared radius; `counts` are the labels in the order of their draws."""
    chosen = int(np.bincount(counts[:n1], minlength=3).argmax())
    hits = int((counts[n1 : n1 + n2] == chosen).sum())
    radius2 = largest(hits, n2, alpha)
    return (chosen if radius2 >= 0 else -1), radius2


# -- what a record says ----------------------------------------------------------------------------


def reported(certifier: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, dict]:
    """The values of the metric by name and radius, and its table."""
    numbers = np.arange(len(P))
    deployed = SimpleNamespace(noise=Votes.noise, exact=True)
    chosen = SimpleNamespace(
        numbers=numbers, labels=LABELS, seed=1, deployed=deployed, source=Votes(P)
    )
    monkeypatch.setattr(reporting, "choose", lambda *_: chosen)
    evidence: Any = SimpleNamespace(certifier=("any", certifier), tables={})
    values = list(reporting.Certified(radii=RADII).measure(evidence))
    found = {(v.metric, v.axes.get("radius")): v for v in values}
    assert len(found) == len(values)
    return found, evidence.tables["certificates"]


def expected(label: np.ndarray, radius2: np.ndarray) -> dict[tuple[str, float | None], float]:
    """The values of certificates, image by image."""
    n, given = len(label), [i for i in range(len(label)) if label[i] >= 0]
    right = [i for i in given if label[i] == LABELS[i]]
    wanted: dict[tuple[str, float | None], float] = {
        ("certified_percentage", None): len(given) / n,
        ("certificate_abstention", None): (n - len(given)) / n,
        ("average_certified_radius", None): float(
            sum(mp.sqrt(int(radius2[i])) for i in right) / 255 / n
        ),
    }
    for radius in RADII:
        reached = [i for i in given if radius2[i] >= within(radius)]
        both = [i for i in reached if i in right]
        wanted["certified_accuracy", radius] = len(both) / n
        wanted["certified_percentage_at", radius] = len(reached) / n
        wanted["certified_accuracy_eq10", radius] = len(both) / len(given)
    return wanted


def held(found: dict, wanted: dict, table: dict) -> None:
    wanted["draws_per_image", None] = sum(map(int, table["draws"])) / len(P)
    assert found.keys() == wanted.keys()
    for key, number in wanted.items():
        assert found[key].value == pytest.approx(number, abs=1e-12), key
    shares = ("certified_accuracy", "certified_percentage_at", "certified_percentage")
    assert all(found[key].n == len(P) for key in found if key[0] in shares)


def test_of_cohen(monkeypatch: pytest.MonkeyPatch) -> None:
    found, table = reported(Cohen(n1=50, n2=1000, alpha=0.01), monkeypatch)
    alone = [by_cohen(row, 50, 1000, Fraction(1, 100)) for row in Votes(P).labels]
    label, radius2 = map(np.array, zip(*alone, strict=True))
    assert table["prediction"].tolist() == label.tolist()
    assert table["radius2"].tolist() == radius2.tolist()
    held(found, expected(label, radius2), table)
    assert "grid" not in found["average_certified_radius", None].axes


@pytest.mark.parametrize("certifier", [Sequential(n1=50, n2=2000), Adaptive(stages=[300, 2000])])
def test_of_lists_of_radii(certifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, table = reported(certifier, monkeypatch)
    held(found, expected(table["prediction"], table["radius2"]), table)
    assert found["average_certified_radius", None].axes["grid"] == "0 0.1 0.25 0.5 0.6"
    n1, alpha = certifier.n1, Fraction(str(certifier.alpha))
    for i, row in enumerate(Votes(P).labels):
        chosen = int(np.bincount(row[:n1], minlength=3).argmax())
        radius2 = int(table["radius2"][i])
        assert table["prediction"][i] == (chosen if radius2 >= 0 else -1)
        assert radius2 == best(certifier, row[n1:] == chosen, int(table["draws"][i]), alpha)


def best(certifier: Any, votes: np.ndarray, draws: int, alpha: Fraction) -> int:
    """The largest squared radius that the votes up to the last draw prove, -1 for none."""
    if isinstance(certifier, Adaptive):
        first, last = certifier.stages
        share = alpha / 2
        found = largest(int(votes[:first].sum()), first, share)
        if draws == last:
            found = max(found, largest(int(votes[first : first + last].sum()), last, share))
        return found
    last = certifier.n2
    found = largest(int(votes[:last].sum()), last, alpha / 2) if draws == last else -1
    looks, n = [], Fraction(100)
    while n < last:
        looks.append(math.floor(n))
        n *= Fraction(112, 100)
    for squared in map(within, RADII):
        for look in [look for look in [*looks, last] if look <= draws]:
            if (
                evidence_against(int(votes[:look].sum()), look, squared)
                >= 2 / mp.mpf(alpha.numerator) * alpha.denominator
            ):
                found = max(found, squared)
                break
        else:
            break
    return found


def test_a_radius_beside_the_list_is_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a certifier tested instead of what it was asked."""

    class Elsewhere(Sequential):
        def certify(self, votes: Any, images: Any, radii: Any) -> Any:
            return super().certify(votes, images, (0.1, 0.5))

    found, _ = reported(Elsewhere(n2=2000), monkeypatch)
    blank = {key for key, value in found.items() if value.value is None}
    beside = [0.0, 0.25, 0.6]
    assert blank == {
        ("certified_percentage", None),
        ("certificate_abstention", None),
        *(("certified_accuracy_eq10", radius) for radius in RADII),
        *(("certified_accuracy", radius) for radius in beside),
        *(("certified_percentage_at", radius) for radius in beside),
    }


@pytest.mark.parametrize("radii", [[], [0.25, 0.5], [0.0, 0.5, 0.25], [0.0, 0.0], [0.0, math.nan]])
def test_radii_begin_at_0_and_increase(radii: list[float]) -> None:
    with pytest.raises(robench.ConfigError, match="radii that increase from 0"):
        reporting.Certified(radii=radii)
