"""What a set of certificates is worth: pure functions of certificates and labels.

A share at a radius that was not tested is NaN: an image that reaches a larger one of the list
reaches it too, but of the others nothing is known.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.smoothing.certificates import Certificates
from robench.smoothing.radius import ABSTAIN
from robench.smoothing.thresholds import squared_target

Labels = NDArray[np.int64]


def tested(certificates: Certificates, radius: float) -> bool:
    """Whether the certificates say of every image if it reaches `radius` ([0,1] units)."""
    return certificates.radii is None or radius in certificates.radii


def certified_correct(
    certificates: Certificates, labels: Labels, radius: float
) -> NDArray[np.bool_]:
    """Per image: right, and certified for all 8-bit perturbations within `radius` ([0,1] units).

    Raises UserError for a radius that was not tested.
    """
    if not tested(certificates, radius):
        raise UserError(
            f"expected one of the radii that were tested, {certificates.radii}, got {radius}; "
            "certify with it in the list"
        )
    right: NDArray[np.bool_] = certificates.prediction == labels
    return right & _reaches(certificates, radius)


def certified_accuracy(certificates: Certificates, labels: Labels, radius: float) -> float:
    """Share of ALL images that are certified_correct; abstaining counts as wrong (Cohen et al.)."""
    if not tested(certificates, radius):
        return math.nan
    return _share(certified_correct(certificates, labels, radius))


def certified_accuracy_eq10(certificates: Certificates, labels: Labels, radius: float) -> float:
    """IntRS Eq. 10 as printed: certified_correct over the images certified at all.

    NaN when none is, or radius 0 was not tested. It rewards abstaining, and the paper's own tables
    do not use it.
    """
    if not (tested(certificates, radius) and tested(certificates, 0.0)):
        return math.nan
    certified = certificates.prediction != ABSTAIN
    return _share(certified_correct(certificates, labels, radius)[certified])


def certified_percentage(certificates: Certificates, radius: float = 0.0) -> float:
    """IntRS Eq. 9: share of images with a certificate at a radius, right or wrong."""
    return _share(_reaches(certificates, radius)) if tested(certificates, radius) else math.nan


def average_certified_radius(certificates: Certificates, labels: Labels) -> float:
    """Mean over all images of the certified radius in [0,1] units, 0 where wrong or abstaining.

    Where a list of radii was tested, radii are rounded down to it: then this is a number about
    that list too, below the mean that every image's largest radius gives.
    """
    right = certificates.prediction == labels
    lengths = np.sqrt(np.where(right, certificates.radius2, 0)) / 255
    return float(lengths.mean()) if len(lengths) else math.nan


def abstention(certificates: Certificates) -> float:
    """Share of images without a certificate, even at radius 0."""
    if not tested(certificates, 0.0):
        return math.nan
    return _share(certificates.prediction == ABSTAIN)


def high_probability_accuracy(share: float, images: int, alpha: float, rho: float = 0.001) -> float:
    """Lower bound, at confidence 1 - rho, on true certified accuracy over the same images.

    Each certificate may be false with probability alpha, on its own: the number of false ones is
    at most the 1 - rho quantile of Bin(images, alpha), exactly. (Cohen et al. 2019, analyze.py,
    bound it by Bernstein's inequality, whose square root lacks a factor 2 there.)
    """
    from scipy import stats  # configuration imports this module, scipy is slow

    return share - float(stats.binom.isf(rho, images, alpha)) / images


def _reaches(certificates: Certificates, radius: float) -> NDArray[np.bool_]:
    reached: NDArray[np.bool_] = certificates.radius2 >= squared_target(radius)
    return reached


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else math.nan
