"""Does the margin rise as far as the gradient promises, where the attack fails?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.verdict import STALLED, predicting, share_finding
from robench.core.record import Finding
from robench.core.system import forward, module_device
from robench.plugin.components import Check
from robench.plugin.trial import Trial
from robench.search import searching
from robench.search.climb import rows_at_once
from robench.search.gradient import finite, input_gradient

KEPT = 0.5
"""Share of the promised rise below which it is broken: honest networks keep all of it."""
WORTH = 0.1
"""Promised rise, in units of the clean margin, below which there is little to keep."""


@dataclass(frozen=True, kw_only=True)
class Stalled(Check):
    """A trap leads an ascent up a slope that ends just short of an error.

    Along the way from the clean image to the usual attack's candidate the clean gradient promises a
    rise of the margin. Networks curve upwards along an ascent, and keep the promise where the
    attack fails, too; a honeypot's slope ends.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold under the usual attack, whose margin rose by less than half.

        It looks where the gradient does predict what a small step changes: elsewhere the promise is
        worth nothing to begin with.
        """
        reference = trial.reference
        if not predicting(trial.findings):
            return
        held = ~reference.wrong
        index = reference.index[held]
        broken = torch.zeros(len(held), dtype=torch.bool)
        if len(index):
            broken[held] = _stopped(trial, index, reference.candidates[held])
        yield share_finding(
            STALLED,
            broken,
            len(held),
            suspect=0.05,
            part=f"{KEPT:.0%}",
        )


def _stopped(trial: Trial, index: Tensor, candidates: Tensor) -> Tensor:
    size = rows_at_once(candidates)
    pairs = zip(index.split(size), candidates.split(size), strict=True)
    return torch.cat([_stopped_of(trial, *few) for few in pairs])


def _stopped_of(trial: Trial, index: Tensor, candidates: Tensor) -> Tensor:
    twin = trial.system.twin
    device = module_device(twin)
    images, labels = trial.images[index], trial.labels[index][:, None]
    after = forward(twin, candidates)
    rivals = after.scatter(1, labels, float("-inf")).argmax(1, keepdim=True)
    with searching(twin):
        leaf = images.to(device).requires_grad_()
        logits = twin(leaf)
        margins = logits.gather(1, rivals.to(device)) - logits.gather(1, labels.to(device))
        gradient = finite(input_gradient(margins[:, 0], leaf)).cpu()
    start, end = margins.detach().cpu(), after.gather(1, rivals) - after.gather(1, labels)
    promised = (gradient * (candidates - images)).flatten(1).sum(1)
    risen = (end - start)[:, 0]
    stopped: Tensor = (promised > WORTH * start[:, 0].abs()) & (risen < KEPT * promised)
    return stopped
