"""Expected calibration error (Naeini et al., 2015; Guo et al., 2017)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import robench

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CalibrationError(robench.Metric):
    """How far the model's confidence is from its accuracy, on clean images."""

    bins: int = 15
    """Bins of equal width in confidence."""

    def __post_init__(self) -> None:
        robench.require_positive(bins=self.bins)

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """One share in [0,1]; undefined for a deployed model that gives labels alone."""
        test, deployed = evidence.test, evidence.system.deployed
        logits = getattr(deployed, "logits", None)
        error = None
        if logits is not None:
            error = calibration_error(logits(test.float_images()), test.labels, self.bins)
        yield robench.Value(
            metric="calibration_error", value=error, n=len(test), unit="share", better="lower"
        )


def calibration_error(logits: Tensor, labels: Tensor, bins: int) -> float:
    """Mean over the images of |accuracy - confidence| of their bin (Guo et al., 2017, eq. 3).

    `logits` has shape (N, classes), `labels` (N,).
    """
    confidence, predicted = logits.softmax(1).max(1)
    right = (predicted == labels).double()
    place = (confidence * bins).long().clamp_max(bins - 1)
    error = 0.0
    for one in place.unique():
        inside = place == one
        gap = right[inside].mean() - confidence[inside].double().mean()
        error += float(gap.abs()) * float(inside.double().mean())
    return error
