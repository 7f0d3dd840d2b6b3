"""Does an attack without gradients beat the gradient?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.contest import failed, next_to_nothing
from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding, worst
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores, SquareSearch


@dataclass(frozen=True, kw_only=True)
class Queries(Check):
    """Square attack on the scores of the deployed model, where gradients have failed."""

    images: int = 20
    """Images tried at most, drawn from those that still hold."""
    budgets: tuple[tuple[int, int], ...] = ((0, 5), (300, 15))
    """Queries of each image at least, and at least for each pixel of its longer side; the next
    budget is spent where nothing speaks against the system yet."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold under gradients and not under random search.

        A thrifty audit spends no queries where gradients are sound or have left next to nothing, on
        what has failed already, nor on a randomised model: what a few random answers choose among
        is luck.
        """
        left, rng = trial.left, generator(trial.seed, "audit", "drawn")
        idle = trial.randomised or next_to_nothing(trial) or trial.sound or failed(trial)
        if len(left) == 0 or (trial.thrifty and idle):
            return
        index = left[torch.randperm(len(left), generator=rng)[: self.images]]
        # The drawn images stand for their part of all images, those that fell before included.
        part = round(len(trial) * len(index) / max(len(left), 1))
        side = max(trial.images.shape[-2:])
        for least, a_pixel in self.budgets:
            finding = share_finding(
                "square",
                square(trial, index, max(least, a_pixel * side)),
                part,
                suspect=0.0125,
                fail=0.05,
                number=len(index),
            )
            if worst(one.verdict for one in (finding, *trial.findings)) != "pass":
                break
        yield finding


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
