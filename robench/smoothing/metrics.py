"""What a set of certificates is worth: pure functions of certificates and labels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from robench.smoothing.certificates import Certificates
from robench.smoothing.radius import ABSTAIN
from robench.smoothing.thresholds import squared_target

Labels = NDArray[np.int64]


def certified_correct(
    certificates: Certificates, labels: Labels, radius: float
) -> NDArray[np.bool_]:
    """Per image: right, and certified for all 8-bit perturbations within `radius` ([0,1] units)."""
    right: NDArray[np.bool_] = certificates.prediction == labels
    return right & _reaches(certificates, radius)


def certified_accuracy(certificates: Certificates, labels: Labels, radius: float) -> float:
    """Share of ALL images that are certified_correct; abstaining counts as wrong (Cohen et al.)."""
    return _share(certified_correct(certificates, labels, radius))


def certified_accuracy_eq10(certificates: Certificates, labels: Labels, radius: float) -> float:
    """IntRS Eq. 10 as printed: certified_correct over the images certified at all.

    NaN when none is. It rewards abstaining, and the paper's own tables do not use it.
    """
    certified = certificates.prediction != ABSTAIN
    return _share(certified_correct(certificates, labels, radius)[certified])


def certified_percentage(certificates: Certificates, radius: float | None = None) -> float:
    """IntRS Eq. 9: share of images with a certificate, right or wrong; or with one at a radius."""
    if radius is None:
        return _share(certificates.prediction != ABSTAIN)
    return _share(_reaches(certificates, radius))


def average_certified_radius(certificates: Certificates, labels: Labels) -> float:
    """Mean over all images of the certified radius in [0,1] units, 0 where wrong or abstaining."""
    right = certificates.prediction == labels
    lengths = np.sqrt(np.where(right, certificates.radius2, 0)) / 255
    return float(lengths.mean()) if len(lengths) else math.nan


def abstention(certificates: Certificates) -> float:
    """Share of images without a certificate."""
    return _share(certificates.prediction == ABSTAIN)


def high_probability_accuracy(share: float, images: int, alpha: float, rho: float = 0.001) -> float:
    """Lower bound, at confidence 1 - rho, on true certified accuracy over the same images.

    Each certificate may be false with probability alpha; Bernstein's inequality bounds how many
    are (Cohen et al. 2019, analyze.py).
    """
    slack = math.log(1 / rho)
    spread = math.sqrt(alpha * (1 - alpha) * slack / images)
    return share - alpha - spread - slack / (3 * images)


def _reaches(certificates: Certificates, radius: float) -> NDArray[np.bool_]:
    reached: NDArray[np.bool_] = certificates.radius2 >= squared_target(radius)
    return reached


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else math.nan
