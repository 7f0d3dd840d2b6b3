"""Do the scores say where a label changes?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from robench.audit.contest import failed, next_to_nothing
from robench.audit.verdict import share_finding
from robench.base.seeds import generator, seed_scope
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import Scores

JUMPING = "jumping_scores"
"""Its name among the findings."""
DRAWS = (1, 8)
"""Answers whose mean is a randomised system's score, by the same draws at all points; more of them
where the first seem to jump."""
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

    images: tuple[int, ...] = (10, 20)
    """Images tried, the first that are right clean; more of them where those do not agree."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images on whose way to another class the label jumps.

        A thrifty audit does not ask of what has failed already, nor where next to nothing is left.
        """
        known = trial.reference.index
        idle = failed(trial) or next_to_nothing(trial)
        if (trial.thrifty and idle) or len(known) == 0:
            return
        rng = generator(trial.seed, "audit", JUMPING)
        for draws in DRAWS if trial.randomised else (1,):
            jumps, changed = self._counted(trial, draws, rng)
            finding = share_finding(JUMPING, jumps, changed, suspect=0.25)
            if finding.verdict == "pass":
                break
        yield finding

    def _counted(self, trial: Trial, draws: int, rng: torch.Generator) -> tuple[int, int]:
        """On how many ways the label jumps, and on how many it changes at all."""
        logits = getattr(trial.system.deployed, "logits", None)
        scores: Scores = logits or (lambda images: forward(trial.system.twin, images))
        asked = _mean(scores, draws, rng) if trial.randomised else scores
        known, jumping, changing = trial.reference.index, 0, 0
        for start, end in pairwise((0, *self.images)):
            index = known[start:end]
            if len(index) == 0:
                break
            other = (trial.labels[index, None] != trial.labels[known]).double() + 1e-9
            ends = known[torch.multinomial(other, 1, generator=rng)[:, 0]]
            jumps, changed = _jumps(asked, trial.images[index], trial.images[ends])
            jumping, changing = (
                jumping + int((jumps & changed).sum()),
                changing + int(changed.sum()),
            )
            if jumping in (0, changing):
                break
        return jumping, changing


def _mean(scores: Scores, draws: int, rng: torch.Generator) -> Scores:
    """The mean of some random scores, by the same seeds whenever it is asked."""
    seeds = torch.randint(2**31, (draws,), generator=rng).tolist()

    def mean(images: Tensor) -> Tensor:
        total = torch.zeros(())
        for seed in seeds:
            with seed_scope(seed):
                total = total + scores(images).float()
        return total / draws

    return mean


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
