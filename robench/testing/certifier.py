"""The contract of certifiers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robench.base.stats import explained
from robench.core.outcomes import ABSTAIN
from robench.plugin.components import Certifier
from robench.smoothing import Certificates, IntegerVotes, Noise
from robench.testing import truth
from robench.testing.component import ComponentContract

IMAGES, RADII = 3, (0.0, 0.1)


class CertifierContract(ComponentContract):
    """A certifier: false with probability at most alpha, none where the votes do not decide.

    Its certificates are held against classifiers whose smoothed labels are known at every image
    (`robench.testing.truth`). So many of them show a rate of false ones from some size on; the
    failure says from which. For a smaller one, set `certificates`.
    """

    component: ClassVar[Certifier]
    certificates: ClassVar[int] = 600
    """Images that are certified to count false certificates: with 600 a rate of 2.6 % shows with
    probability 99 % where alpha is 0.001, and 12.8 % where it is 0.05; with 20,000, 0.32 % and
    6.1 %."""

    def _certify(self, decide: Any) -> Certificates:
        """Certificates of a classifier of noisy int16 images (N, C, H, W), of two classes."""
        pixels = np.full((IMAGES, 1, 4, 4), 128, dtype=np.uint8)
        noise = Noise(sigma=Fraction("0.25"))
        votes = IntegerVotes(images=pixels, labels=decide, classes=2, noise=noise, seed=1)
        return self.component.certify(votes, np.arange(IMAGES), RADII)

    def test_a_constant_classifier_is_certified(self) -> None:
        """Its label cannot change, so that its certificates have a radius."""
        found = self._certify(_constant)
        assert found.prediction.tolist() == [1] * IMAGES
        assert bool((found.radius2 > 0).all()), f"expected radii above 0, got {found.radius2}"
        assert bool((found.hits == found.draws).all()), "expected every counted draw to be a hit"

    def test_an_undecided_classifier_is_not_certified(self) -> None:
        """Votes that fall evenly certify nothing."""
        found = self._certify(_undecided)
        assert found.prediction.tolist() == [ABSTAIN] * IMAGES
        assert found.radius2.tolist() == [ABSTAIN] * IMAGES

    def test_certificates_repeat(self) -> None:
        """The same votes give the same certificates."""
        first, second = self._certify(_constant), self._certify(_constant)
        for name in ("prediction", "radius2", "hits", "draws"):
            assert np.array_equal(getattr(first, name), getattr(second, name)), name

    def test_certificates_hold(self) -> None:
        """No more are false than alpha allows, at its own alpha and at 0.05, where more may be."""
        for certifier in (self.component, replace(self.component, alpha=0.05)):
            votes = truth.sample(self.certificates, seed=1)
            found = certifier.certify(votes, np.arange(self.certificates), truth.RADII)
            false = np.flatnonzero(truth.false_certificates(votes, found))
            limit = explained(self.certificates, certifier.alpha, truth.CHANCE)
            assert len(false) <= limit, (
                f"expected at most {limit} of {self.certificates} certificates false at alpha "
                f"{certifier.alpha:g}, got {len(false)}, the first of image "
                f"{votes.images[false[0]].ravel().tolist()}; a sound certifier has more with "
                f"probability {truth.CHANCE:g}, one of which "
                f"{truth.visible(self.certificates, certifier.alpha):.2%} are false with "
                f"{truth.POWER:.0%}"
            )

    def test_states_its_alpha(self) -> None:
        """The probability that a certificate is false stands in every record."""
        assert 0 < self.component.alpha < 0.5, (
            f"expected 0 < alpha < 0.5, got {self.component.alpha}"
        )


def _constant(noisy: NDArray[np.int16]) -> NDArray[np.int64]:
    return np.ones(len(noisy), dtype=np.int64)


def _undecided(noisy: NDArray[np.int16]) -> NDArray[np.int64]:
    """The parity of one noisy pixel: as good as a coin."""
    result: NDArray[np.int64] = (noisy[:, 0, 0, 0] % 2).astype(np.int64)
    return result
