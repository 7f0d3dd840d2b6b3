"""What counts as wrong: one answer of a deterministic model, many of a randomised one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.core.system import Deployed
from robench.plugin import guest
from robench.search.target import Target

FIRST, LIKELY = 4, 3
"""First answers of a randomised model about one image; wrong ones from which more are drawn."""
DRAWS, SURELY_WRONG = 12, 9
"""Answers that decide where the first ones differ, and wrong ones among them that break an image:
were the model right half of the time, an image would be broken by chance in 9.9 % of the cases."""
FRESH = 6
"""Further answers, most of which must be wrong too: of many candidates some pass by chance."""


@dataclass(frozen=True)
class Judge:
    """The deployed model as the only judge of success; images are float32 in [0,1] on the CPU."""

    deployed: Deployed
    randomised: bool

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
        right[unsure] = ~self._reaches(
            images[unsure], labels[unsure], DRAWS // 2 + 1, count[unsure]
        )
        return right

    def wrong(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether candidates are surely classified wrong, never by one lucky draw: bool (N,)."""
        if not self.randomised:
            return self._differ(images, labels)
        count = self._wrong_answers(images, labels, FIRST, least=LIKELY)
        wrong = count == FIRST
        unsure = (count == LIKELY).nonzero()[:, 0]
        wrong[unsure] = self._reaches(images[unsure], labels[unsure], SURELY_WRONG, count[unsure])
        sure = wrong.nonzero()[:, 0]
        most = FRESH // 2 + 1
        fresh = self._wrong_answers(images[sure], labels[sure], FRESH, least=most, enough=most)
        wrong[sure] = fresh >= most
        return wrong

    def _differ(self, images: Tensor, labels: Tensor) -> Tensor:
        """Which images one answer each says other labels of; no model is asked about none."""
        if len(images) == 0:
            return torch.zeros(0, dtype=torch.bool)
        return self.deployed.predict(images.clone()) != labels

    def _reaches(self, images: Tensor, labels: Tensor, least: int, count: Tensor) -> Tensor:
        """Whether that many of DRAWS answers are wrong; `count` of the first are: bool (N,)."""
        need = least - count
        again = self._wrong_answers(images, labels, DRAWS - FIRST, least=need, enough=need)
        return again >= need

    def _wrong_answers(
        self,
        images: Tensor,
        labels: Tensor,
        draws: int,
        *,
        least: Tensor | int = 0,
        enough: Tensor | int = DRAWS,
    ) -> Tensor:
        """Wrong ones among so many answers, counted while `least` is in reach and `enough` not."""
        count = torch.zeros_like(labels)
        for left in range(draws, 0, -1):
            asked = ((count < enough) & (count + left >= least)).nonzero()[:, 0]
            if len(asked) == 0:
                break
            answers = self.deployed.predict(images[asked])
            count[asked] += answers != labels[asked]
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
