"""Does an attack without gradients beat the gradient?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from robench.audit.trial import Trial
from robench.audit.verdict import share
from robench.components import Check
from robench.record import Finding
from robench.search import Scores, SquareSearch
from robench.seeds import generator
from robench.system import forward


@dataclass(frozen=True, kw_only=True)
class Queries(Check):
    """Square attack on the scores of the deployed model, where gradients have failed."""

    images: int = 20
    """Images tried at most, drawn from those that still hold."""
    queries: int = 5
    """Queries of each image, for each pixel of its longer side."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold under gradients and not under random search."""
        rng = generator(trial.seed, "audit", "queries")
        left = trial.left
        index = left[torch.randperm(len(left), generator=rng)[: self.images]]
        queries = self.queries * max(trial.images.shape[-2:])
        search = SquareSearch(queries=queries)
        images, labels = trial.images[index], trial.labels[index]
        found = search.run(scores(trial), images, labels, trial.threat, rng)
        # The drawn images stand for their part of all images, those that fell before included.
        part = round(len(trial) * len(index) / max(len(left), 1))
        yield share(
            "square",
            trial.attempt("square", found, index),
            part,
            f"Square with {queries} queries breaks {{count}} of {len(index)} images that "
            "gradients leave right",
            suspect=0.0125,
            fail=0.05,
        )


def scores(trial: Trial) -> Scores:
    """The deployed model's logits, or its twin's where it gives none."""
    logits = getattr(trial.system.deployed, "logits", None)
    return logits or (lambda images: forward(trial.system.twin, images))
