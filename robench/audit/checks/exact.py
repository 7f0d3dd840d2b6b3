"""Where a network is affine, is its robust accuracy known exactly?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from robench.audit.affine import affine_map, worst_case
from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores


@dataclass(frozen=True, kw_only=True)
class Exact(Check):
    """The closed form of the worst candidate of an affine network."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The share of images that hold, proven; it settles what attacks only bound."""
        if trial.randomised or not bool(trial.clean.any()):
            return
        logits = getattr(trial.system.deployed, "logits", None)
        scores: Scores = logits or (lambda images: forward(trial.system.twin, images))
        network = affine_map(scores, trial.images, generator(trial.seed, "audit", "exact"))
        if network is None:
            return
        index = trial.clean.nonzero()[:, 0]
        found, safe = worst_case(network, trial.images[index], trial.labels[index], trial.threat)
        broken = trial.attempt("exact", found, index)
        proven = torch.zeros_like(trial.clean)
        proven[index] = safe & ~broken
        unclear = int((~safe & ~broken).sum())
        yield share_finding(
            "exact",
            proven,
            len(trial),
            suspect=1.0,
            number=unclear,
        )
