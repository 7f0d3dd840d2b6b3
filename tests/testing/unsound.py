"""A plugin whose certifier claims too much: an estimate in the place of a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

import robench
from robench.smoothing import ABSTAIN, Certificates, VoteSource


@dataclass(frozen=True, kw_only=True)
class PlugIn(robench.Certifier):
    """Takes the share of a few votes for the probability, without a bound."""

    draws: int = 10
    """Votes that are counted."""

    def certify(
        self, votes: VoteSource, images: np.ndarray, radii: Sequence[float]
    ) -> Certificates:
        """Radii by the estimate; no counts are handed on."""
        del radii
        counts = votes.votes(images, 0, self.draws)
        share = np.minimum(counts.max(1) / self.draws, 1 - 0.1 / self.draws)
        radius = 255 * float(votes.noise.sigma) * special.ndtri(share)
        given = share > 0.5
        return Certificates(
            prediction=np.where(given, counts.argmax(1), ABSTAIN),
            radius2=np.where(given, np.floor(radius.clip(0) ** 2), ABSTAIN).astype(np.int64),
        )


@robench.hookimpl
def robench_register(register: Any) -> None:
    """One certifier."""
    register("certifier", "plug_in", PlugIn)
