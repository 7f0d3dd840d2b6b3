"""Does the gradient predict what the deployed model does a small step away?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from robench.audit.contest import failed, next_to_nothing
from robench.audit.verdict import BENT, FRACTURED, share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores, Secants, secants

PREDICTED = 0.8
"""Cosine with the differences below which a gradient predicts little of them."""
ADDITIVE, BEHIND = 0.9, 0.1
"""Cosine from which on the differences add up, so that some gradient would predict them; how far a
bent one's own lies below that."""
BENT_LIMIT = 0.25
"""Share of images, at the lower end of its interval, with a gradient that is not the scores'."""


@dataclass(frozen=True, kw_only=True)
class GradientSecants(Check):
    """Finite differences of the deployed model's logits, against its twin's gradient.

    Where they add up and the gradient does not predict them, it is another function's. Where they
    do not add up either, as after rounding to 4 bits, no gradient could: that alone is no masking,
    but nothing that gradients fail to break counts as robust.
    """

    images: tuple[int, ...] = (10, 20)
    """Images tried, the first that are right clean; more of them where those do not agree."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images with a bent gradient, and with any that predicts little.

        A thrifty audit does not ask where the usual attack has left next to nothing, nor of what
        has failed already.
        """
        known = trial.reference.index
        idle = trial.thrifty and (next_to_nothing(trial) or failed(trial))
        if trial.randomised or idle or len(known) == 0:
            return
        rng = generator(trial.seed, "audit", "secants")
        predicted, additive = torch.zeros(0), torch.zeros(0)
        for start, end in pairwise((0, *self.images)):
            found = _found(trial, known[start:end], rng)
            predicted = torch.cat([predicted, found.predicted])
            additive = torch.cat([additive, found.additive])
            lost, testable = predicted < PREDICTED, additive >= ADDITIVE
            bent = testable & (predicted < additive - BEHIND)
            if _agree(lost) and _agree(bent):
                break
        yield share_finding(
            BENT,
            bent,
            len(lost) if bool(testable.any()) else 0,
            suspect=BENT_LIMIT,
            number=f"{float(predicted.median()):.2f}",
        )
        yield share_finding(
            FRACTURED,
            lost,
            len(lost),
            suspect=1.0,
        )


def _agree(images: Tensor) -> bool:
    return bool(images.all() | ~images.any())


def _found(trial: Trial, index: Tensor, rng: torch.Generator) -> Secants:
    logits = getattr(trial.system.deployed, "logits", None)
    scores: Scores = logits or (lambda images: forward(trial.system.twin, images))
    return secants(
        trial.system.twin,
        lambda images: scores(images).float(),
        trial.images[index],
        trial.labels[index],
        trial.threat,
        rng,
    )
