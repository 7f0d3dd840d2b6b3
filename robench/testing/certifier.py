"""The contract of certifiers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robench.core.outcomes import ABSTAIN
from robench.plugin.components import Certifier
from robench.smoothing import Certificates, IntegerVotes, Noise
from robench.testing.component import ComponentContract

IMAGES, RADII = 3, (0.0, 0.1)


class CertifierContract(ComponentContract):
    """A certifier: certificates from votes, none where the votes do not decide."""

    component: ClassVar[Certifier]

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
