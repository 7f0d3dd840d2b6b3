"""Do the scores say where a label changes?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.contest import failed
from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores

JUMPING = "jumping_scores"
"""Its name among the findings."""
ROUNDS, PARTS = 4, 4
"""How often the way between two images is cut, and in how many parts: down to a level of an 8-bit
pixel or a few."""
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

        A thrifty audit does not ask of what has failed already, nor where the usual attack breaks
        most images: scores lead there.
        """
        index, wrong = trial.reference.index[: self.images], trial.reference.wrong
        idle = failed(trial) or 2 * int(wrong.sum()) > len(wrong)
        if trial.randomised or (trial.thrifty and idle) or len(index) == 0:
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
    for _ in range(ROUNDS):
        parts = [low + (high - low) * number / PARTS for number in range(1, PARTS)]
        ways = [starts + part.view(-1, 1, 1, 1) * (ends - starts) for part in parts]
        found = scores((torch.cat(ways) * 255).round() / 255).float()
        still = torch.ones_like(label, dtype=torch.bool)
        for part, logits in zip(parts, found.chunk(len(parts)), strict=True):
            same = still & (logits.argmax(1) == label)
            other = still & ~same
            low, before = torch.where(same, part, low), torch.where(same, _lead(logits), before)
            high, after = torch.where(other, part, high), torch.where(other, _lead(logits), after)
            still = same
    return torch.minimum(before, after) > FAR * lead, last.argmax(1) != label


def _lead(logits: Tensor) -> Tensor:
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]
