"""Does an attack without gradients beat the gradient?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores, SquareSearch

NOTHING = 0.1
"""Share of images up to which next to nothing is left."""


@dataclass(frozen=True, kw_only=True)
class Queries(Check):
    """Square attack on the scores of the deployed model, where gradients have failed."""

    images: int = 20
    """Images tried at most, drawn from those that still hold."""
    queries: int = 300
    """Queries of each image at least."""
    a_pixel: int = 15
    """Queries of each image at least, for each pixel of its longer side."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold under gradients and not under random search.

        A thrifty audit spends no queries where gradients are sound or have left next to nothing,
        nor on a randomised model: what a few random answers choose among is luck.
        """
        left, rng = trial.left, generator(trial.seed, "audit", "drawn")
        few = len(left) <= NOTHING * len(trial)
        if len(left) == 0 or (trial.thrifty and (trial.randomised or few or trial.sound)):
            return
        index = left[torch.randperm(len(left), generator=rng)[: self.images]]
        # The drawn images stand for their part of all images, those that fell before included.
        part = round(len(trial) * len(index) / max(len(left), 1))
        yield share_finding(
            "square",
            square(trial, index, max(self.queries, self.a_pixel * max(trial.images.shape[-2:]))),
            part,
            f"Square breaks {{count}} of {len(index)} images that gradients leave right",
            suspect=0.0125,
            fail=0.05,
        )


def square(trial: Trial, index: Tensor, queries: int) -> Tensor:
    """Attack the images at `index` with Square; says which it breaks, bool of the same shape.

    It reads the deployed model's logits, or its twin's where that gives none or random ones.
    """
    logits = None if trial.randomised else getattr(trial.system.deployed, "logits", None)
    scores: Scores = logits or (lambda images: forward(trial.system.twin, images))
    search = SquareSearch(queries=queries)
    rng = generator(trial.seed, "audit", "queries")
    images, labels = trial.images[index], trial.labels[index]
    return trial.attempt("square", search.run(scores, images, labels, trial.threat, rng), index)
