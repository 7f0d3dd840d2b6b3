"""What counts as wrong: one answer of a deterministic model, many of a randomised one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.core.system import Deployed
from robench.plugin import guest
from robench.search.target import Target

FIRST, DRAWS = 4, 12
"""First answers of a randomised model about a clean image, and answers where those differ."""
LEAD, BEHIND, MOST = 6, 2, 24
"""By how many answers the wrong ones lead where an image counts as broken, and the right ones where
it does not, as in a sequential test (Wald, 1945); undecided after MOST answers it is not broken.
A candidate that is answered wrong with probability 0.3, 0.4, 0.5, 0.6, 0.7 and 0.8 breaks its image
in 0.5, 4, 19, 48, 77 and 93 % of the cases."""


@dataclass(frozen=True)
class Judge:
    """The deployed model as the only judge of success; images are float32 in [0,1] on the CPU."""

    deployed: Deployed
    randomised: bool
    lead: int = LEAD
    """By how many answers wrong ones lead where a candidate counts as broken."""

    def right(self, images: Tensor, labels: Tensor, answers: Sequence[Tensor] = ()) -> Tensor:
        """Whether clean images are classified right, by a randomised model mostly: bool (N,).

        `answers` are labels (N,) that it gave already, FIRST at most.
        """
        if not self.randomised:
            return answers[0] == labels if answers else ~self._differ(images, labels)
        count = self._wrong_answers(images, labels, FIRST - len(answers))
        for answer in answers:
            count += answer != labels
        right = count == 0
        unsure = ((count > 0) & (count < FIRST)).nonzero()[:, 0]
        count[unsure] += self._wrong_answers(images[unsure], labels[unsure], DRAWS - FIRST)
        right[unsure] = 2 * count[unsure] <= DRAWS
        return right

    def wrong(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether most answers to candidates are surely wrong, never one lucky draw: bool (N,)."""
        if not self.randomised:
            return self._differ(images, labels)
        lead, asked = torch.zeros_like(labels), torch.arange(len(labels))
        for _ in range(MOST):
            if len(asked) == 0:
                break
            wrong = self.deployed.predict(images[asked]) != labels[asked]
            lead[asked] += 2 * wrong.long() - 1
            asked = asked[(lead[asked] < self.lead) & (lead[asked] > -BEHIND)]
        broken: Tensor = lead >= self.lead
        return broken

    def _differ(self, images: Tensor, labels: Tensor) -> Tensor:
        """Which images one answer each says other labels of; no model is asked about none."""
        if len(images) == 0:
            return torch.zeros(0, dtype=torch.bool)
        return self.deployed.predict(images.clone()) != labels

    def _wrong_answers(self, images: Tensor, labels: Tensor, draws: int) -> Tensor:
        """How many of so many answers are wrong: int64 (N,)."""
        count = torch.zeros_like(labels)
        for _ in range(draws if len(images) else 0):
            count += self.deployed.predict(images.clone()) != labels
        return count


def target(twin: nn.Module, deployed: Deployed, randomised: bool) -> Target:
    """What an attack searches on: gradients of the twin, the word of the judge.

    Images may lie on any device; the deployed model gets finite copies on the CPU. Labels that are
    none raise Fault: nothing is right under them, and every candidate would seem to succeed.
    """
    judge, logits = Judge(deployed, randomised), getattr(deployed, "logits", None)
    classes = getattr(deployed, "classes", None)

    def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
        if len(candidates) == 0:
            return torch.zeros(0, dtype=torch.bool, device=candidates.device)
        own = guest.plain_tensor(candidates, tuple(candidates.shape))
        true = guest.plain_labels(labels, len(candidates), classes)
        with torch.no_grad():
            return judge.wrong(own, true).to(candidates.device)

    def scores(images: Tensor) -> Tensor:
        with torch.no_grad():
            own = guest.plain_tensor(images, tuple(images.shape)) if logits else images
            found: Tensor = (logits or twin)(own)
        return found.to(images.device)

    return Target(twin, wrong, scores, randomised)
