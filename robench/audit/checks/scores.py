"""Do the scores say where a label changes?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.contest import next_to_nothing
from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores

JUMPING = "jumping_scores"
"""Its name among the findings."""
BISECTIONS = 7
"""Halvings of the way between two images, down to a level of an 8-bit pixel or two."""
FAR = 0.25
"""Lead of the highest score on both sides of a change of label, in parts of the clean image's,
from which on it is a jump: where scores decide, the lead vanishes there."""


@dataclass(frozen=True, kw_only=True)
class JumpingScores(Check):
    """The lead of the highest score where the label changes between two images.

    A label that comes from elsewhere than its scores is attacked through scores in vain, though
    their gradient is sound.
    """

    images: int = 20
    """Images tried, the first that are right clean."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images on whose way to another class the label jumps.

        A thrifty audit does not ask where next to nothing is left.
        """
        index = trial.reference.index[: self.images]
        few = trial.thrifty and next_to_nothing(trial)
        if trial.randomised or few or len(index) == 0:
            return
        logits = getattr(trial.system.deployed, "logits", None)
        scores: Scores = logits or (lambda images: forward(trial.system.twin, images))
        labels = trial.labels[trial.reference.index]
        rng = generator(trial.seed, "audit", JUMPING)
        other = (labels[: len(index), None] != labels).double() + 1e-9
        ends = trial.reference.index[torch.multinomial(other, 1, generator=rng)[:, 0]]
        jumps, changed = _jumps(scores, trial.images[index], trial.images[ends])
        yield share_finding(JUMPING, jumps & changed, int(changed.sum()), suspect=0.5)


def _jumps(scores: Scores, starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """Whether the label jumps on each way, and whether it changes at all: bool (N,)."""
    first, last = scores(torch.cat([starts, ends])).float().chunk(2)
    label, lead = first.argmax(1), _lead(first)
    before, after = lead, _lead(last)
    low, high = torch.zeros_like(lead), torch.ones_like(lead)
    for _ in range(BISECTIONS):
        part = (low + high) / 2
        points = starts + part.view(-1, 1, 1, 1) * (ends - starts)
        found = scores((points * 255).round() / 255).float()
        same = found.argmax(1) == label
        low, high = torch.where(same, part, low), torch.where(same, high, part)
        before = torch.where(same, _lead(found), before)
        after = torch.where(same, after, _lead(found))
    return torch.minimum(before, after) > FAR * lead, last.argmax(1) != label


def _lead(logits: Tensor) -> Tensor:
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]
