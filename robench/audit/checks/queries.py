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

    images: int = 30
    """Images tried: drawn from those that still hold."""
    queries: int = 60
    """Queries of each image."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold under gradients and not under random search."""
        rng = generator(trial.seed, "audit", "queries")
        left = trial.left
        index = left[torch.randperm(len(left), generator=rng)[: self.images]]
        search = SquareSearch(queries=self.queries)
        images, labels = trial.images[index], trial.labels[index]
        found = search.run(scores(trial), images, labels, trial.threat, rng)
        yield share(
            "square",
            trial.attempt("square", found, index),
            len(index),
            f"Square with {self.queries} queries breaks {{share}} of {{n}} images that gradients "
            "leave right",
            suspect=0.05,
            fail=0.1,
        )


def scores(trial: Trial) -> Scores:
    """The deployed model's logits, or its twin's where it gives none."""
    logits = getattr(trial.system.deployed, "logits", None)
    return logits or (lambda images: forward(trial.system.twin, images))
