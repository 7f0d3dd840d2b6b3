"""The contract of certifiers: its classifiers are what it says, and a plug-in estimate fails it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import robench
from robench import testing
from robench.plugin.registry import registry
from robench.smoothing import Certificates, VoteSource
from robench.testing import truth
from tests.testing.unsound import PlugIn


def contract(certifier: Any, count: int = 600) -> testing.CertifierContract:
    return type(
        "Contract", (testing.CertifierContract,), {"component": certifier, "certificates": count}
    )()


@pytest.mark.parametrize("draws", [100, 2_000])
def test_a_plug_in_estimate_fails_and_the_failure_says_how_much_it_can_see(draws: int) -> None:
    with pytest.raises(AssertionError, match=r"at most 7 of 600 .* alpha 0.001, got 3\d\d,.*2.65%"):
        contract(PlugIn(draws=draws)).test_certificates_hold()


@dataclass(frozen=True, kw_only=True)
class Reuses(robench.Certifier):
    """Selects the label on the draws that it counts, and takes the best of many looks."""

    looks: ClassVar[tuple[int, ...]] = tuple(range(100, 1_600, 100))

    def certify(
        self, votes: VoteSource, images: np.ndarray, radii: Sequence[float]
    ) -> Certificates:
        """The largest of the radii at the looks, each a valid one alone."""
        from robench.smoothing import Cohen

        found = [Cohen(n2=n, alpha=self.alpha).certify(votes, images, radii) for n in self.looks]
        best = np.stack([one.radius2 for one in found]).argmax(0)
        columns = {
            name: np.stack([getattr(one, name) for one in found])[best, np.arange(len(images))]
            for name in ("prediction", "radius2")
        }
        return Certificates(**columns)


@pytest.mark.slow
def test_stopping_where_it_looks_best_shows_with_more_certificates() -> None:
    with pytest.raises(AssertionError, match="of 3000 certificates false"):
        contract(Reuses(alpha=0.05), 3_000).test_certificates_hold()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cohen", "sequential", "adaptive"])
def test_own_certifiers_hold_at_many_images(name: str) -> None:
    options: dict[str, Any] = {"stages": [200, 2_000]} if name == "adaptive" else {"n2": 2_000}
    certifier = registry().get("certifier", name).make(**options)
    contract(certifier, 20_000).test_certificates_hold()


@pytest.mark.parametrize("classifier", truth.CLASSIFIERS)
def test_the_truth_is_the_sum_over_the_noise(classifier: truth.Classifier) -> None:
    known, (x, y) = truth.truth(classifier), (131, 126)
    steps = np.arange(-48, 49)
    law = np.exp(-(steps**2) / 32)
    weights = np.outer(law, law) / law.sum() ** 2
    labels = classifier(x + steps[:, None] + 0 * steps, y + steps + 0 * steps[:, None])
    shares = [weights[labels == c].sum() for c in range(truth.CLASSES)]
    np.testing.assert_allclose(known.probabilities[x, y], shares, atol=1e-13)
    top = int(np.argmax(shares))
    order = np.sort(known.probabilities, axis=-1)
    named = known.probabilities.argmax(-1) == top
    other = np.argwhere(~(named & (order[..., -1] - order[..., -2] > 1e-9)))
    ends2 = ((other - [x, y]) ** 2).sum(1).min() if len(other) else np.inf
    assert known.ends2[x, y, top] == ends2
    assert (known.ends2[x, y][np.arange(truth.CLASSES) != top] == 0).all()


def test_a_draw_is_the_same_whenever_it_is_asked_for() -> None:
    votes, rows = truth.sample(30, seed=3), np.arange(30)
    whole = votes.votes(rows, 100, 1_300)
    parts = sum(votes.votes(rows[::-1], first, 650)[::-1] for first in (100, 750))
    np.testing.assert_array_equal(whole, parts)
    assert (whole.sum(1) == 1_300).all()
    spread = np.sqrt(1_300 * votes.probabilities * (1 - votes.probabilities)) + 1e-9
    assert (abs(whole - 1_300 * votes.probabilities) < 5 * spread + 1).all()


def test_what_is_visible_needs_certificates() -> None:
    assert truth.visible(600, 0.001) == pytest.approx(0.0265, abs=1e-4)
    assert truth.visible(20_000, 0.001) < truth.visible(600, 0.001)
    assert truth.visible(5, 0.4) == 1.0
