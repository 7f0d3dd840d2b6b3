"""The contract of certifiers."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from robench.plugin.components import Certifier
from robench.smoothing import ABSTAIN, Noise
from robench.testing.component import ComponentContract

if TYPE_CHECKING:
    from robench.smoothing import Certificates

CHANCES = (1.0, 0.99, 0.9, 0.5, 0.0)
"""Probability that a draw of each image votes for class 0, of two."""
PIXELS = 36


class _Coins:
    """A vote source of known chances; draw j of an image is one number, whenever it is asked."""

    noise = Noise(sigma=Fraction("0.25"))
    pixels = PIXELS

    def votes(self, images: NDArray[np.int64], first_draw: int, count: int) -> NDArray[np.int64]:
        """Counts of the two classes, shape (len(images), 2)."""
        counts = np.zeros((len(images), 2), np.int64)
        for row, image in enumerate(images):
            uniform = np.random.default_rng(int(image)).random(first_draw + count)[first_draw:]
            counts[row, 0] = int((uniform < CHANCES[image]).sum())
        counts[:, 1] = count - counts[:, 0]
        return counts


class CertifierContract(ComponentContract):
    """A certifier: labels with radii, the same ones for the same votes, nothing where votes tie."""

    component: ClassVar[Certifier]

    def _certify(self, *images: int) -> Certificates:
        return self.component.certify(_Coins(), np.array(images, np.int64))

    def test_certificates_are_one_for_each_image_in_order(self) -> None:
        """A radius exactly where there is a label, and the label that the votes favour."""
        found = self._certify(4, 0)
        assert found.prediction.shape == found.radius2.shape == (2,)
        assert found.prediction.tolist() == [1, 0], "expected the class of all votes"
        assert (found.radius2 >= 0).all(), "expected a radius where all votes agree"

    def test_even_votes_certify_nothing(self) -> None:
        """At a chance of 1/2 no radius is true."""
        assert self._certify(3).prediction.tolist() == [ABSTAIN]

    def test_more_votes_certify_no_less(self) -> None:
        """Radii grow with the chance of the label."""
        radii = self._certify(2, 1, 0).radius2.tolist()
        assert radii == sorted(radii), f"expected growing radii, got {radii}"

    def test_certificates_repeat(self) -> None:
        """For the same votes, whichever images are asked for beside."""
        one, other = self._certify(0, 1, 2), self._certify(2)
        assert one.radius2[2] == other.radius2[0]
        assert one.prediction[2] == other.prediction[0]

    def test_no_image_is_no_certificate(self) -> None:
        """An empty subset is a subset."""
        assert self._certify().prediction.shape == (0,)
