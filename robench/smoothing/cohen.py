"""Algorithm 1 of Cohen et al. (2019): select on n1 draws, count on n2 fresh ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.smoothing.certificates import Certificates
from robench.smoothing.noise import Noise
from robench.smoothing.radius import ABSTAIN, RADII, radius_table, require_useful
from robench.smoothing.votes import VoteSource


@dataclass(frozen=True, kw_only=True)
class Cohen:
    """Certify with a fixed number of draws (`n1` to select, `n2` to count) at confidence 1 - alpha.

    `radius` is the formula: exact, lifted or renyi. Raises UserError for a budget that could
    certify nothing, or options out of range.
    """

    n1: int = 100
    n2: int = 100_000
    alpha: float = 0.001
    radius: str = "exact"

    def __post_init__(self) -> None:
        check_options(self.alpha, self.radius, n1=self.n1, n2=self.n2)

    def table(self, noise: Noise, pixels: int) -> NDArray[np.int64]:
        """Votes among n2 -> radius2, for this law and number of pixels."""
        require_useful(noise, pixels, self.n2, self.alpha, self.radius)
        return radius_table(noise, pixels, self.n2, self.alpha, self.radius)

    def certify(
        self, source: VoteSource, images: NDArray[np.int64], radii: Sequence[float] = ()
    ) -> Certificates:
        """Certify images (positions in the source), integers only; each at its largest radius,
        whichever are asked for."""
        del radii
        table = self.table(source.noise, source.pixels)
        label = source.votes(images, 0, self.n1).argmax(1)
        counts = source.votes(images, self.n1, self.n2)
        hits = counts[np.arange(len(images)), label]
        radius2 = table[hits]
        return Certificates(
            prediction=np.where(radius2 == ABSTAIN, ABSTAIN, label),
            radius2=radius2,
            hits=hits,
            draws=np.full_like(hits, self.n2),
            selection=self.n1,
        )


def check_options(alpha: float, radius: str, **budgets: int) -> None:
    """Refuse with UserError an alpha outside (0, 1/2), an unknown formula, an empty budget."""
    if not 0 < alpha < 0.5:
        raise UserError(f"expected 0 < alpha < 0.5, got {alpha}; 0.001 is usual")
    if radius not in RADII:
        raise UserError(f"expected a radius of {', '.join(RADII)}, got {radius!r}; name one")
    for name, value in budgets.items():
        if value < 1:
            raise UserError(f"expected {name} >= 1, got {value}; give a number of draws")
