"""Does a search by labels alone beat those that read scores?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from robench.audit.checks.scores import JUMPING
from robench.audit.contest import NOTHING, contest, failed, next_to_nothing
from robench.audit.judge import BEHIND, Judge
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import RaySearch

FIRST = 10
"""Images searched first; the others follow if one of them falls."""
LONGER = 4
"""How many times the labels are asked of what then still holds, in a full audit."""


@dataclass(frozen=True, kw_only=True)
class Labels(Check):
    """Rays to the nearest error on the deployed model's labels, which no score can hide."""

    queries: int = 25
    """Labels asked of each image, for each pixel of its longer side."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that all searches before leave minus the one that this leaves.

        A thrifty audit asks where scores do not say where a label changes, or the usual attack
        breaks next to nothing. Of a randomised model the label is what most answers say.
        """
        if trial.thrifty and _idle(trial):
            return
        queries = self.queries * max(trial.images.shape[-2:])
        yield contest(trial, "labels", "labels", partial(_search, trial, queries))


def _idle(trial: Trial) -> bool:
    """Whether nothing speaks for asking labels in a cheap audit."""
    jumps = any(f.check == JUMPING and f.verdict != "pass" for f in trial.findings)
    broken, clean = int(trial.reference.wrong.sum()), len(trial.reference.wrong)
    held = broken <= NOTHING * clean
    return failed(trial) or next_to_nothing(trial) or not (jumps or held)


def _search(trial: Trial, queries: int, index: Tensor) -> Tensor:
    found = trial.images[index].clone()
    # What most random answers say is guessed from a few of them, and judged again in the end.
    wrong = Judge(trial.system.deployed, trial.randomised, BEHIND).wrong

    def ask(which: Tensor, most: int) -> bool:
        """Search at these positions of the index; whether any image falls."""
        at, rng = index[which], generator(trial.seed, "audit", "labels", most)
        rays = RaySearch(queries=most)
        images, labels = trial.images[at], trial.labels[at]
        points = rays.run(wrong, images, labels, trial.threat, rng)
        broken = trial.wrong(points, at)
        found[which[broken]] = points[broken]
        return bool(broken.any())

    every = torch.arange(len(index))
    won = ask(every[:FIRST], queries)
    if won:
        ask(every[FIRST:], queries)
    if won and not trial.thrifty:
        held = (found == trial.images[index]).flatten(1).all(1)
        ask(every[held], LONGER * queries)
    return found
