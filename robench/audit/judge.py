"""What counts as wrong: one answer of a deterministic model, many of a randomised one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.system import Deployed

DRAWS = 12
"""Answers of a randomised model that decide about one image."""
SURELY_WRONG = 9
"""Wrong answers among them from which a candidate counts as adversarial: were the model right half
of the time, so many would be wrong by chance in 7.3 % of the cases."""
FIRST, FIRST_WRONG = 4, 3
"""The rest is drawn only where at least so many of the first answers are wrong."""


@dataclass(frozen=True)
class Judge:
    """The deployed model as the only judge of success; images are float32 in [0,1] on the CPU."""

    deployed: Deployed
    randomised: bool

    def right(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether clean images are classified right, by a randomised model mostly: bool (N,)."""
        if not self.randomised:
            return self.deployed.predict(images) == labels
        return self._wrong_answers(images, labels, DRAWS) * 2 <= DRAWS

    def wrong(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether candidates are surely classified wrong, never by one lucky draw: bool (N,)."""
        if not self.randomised:
            return self.deployed.predict(images) != labels
        count = self._wrong_answers(images, labels, FIRST)
        likely = (count >= FIRST_WRONG).nonzero()[:, 0]
        if len(likely):
            count[likely] += self._wrong_answers(images[likely], labels[likely], DRAWS - FIRST)
        sure = (count >= SURELY_WRONG).nonzero()[:, 0]
        wrong = torch.zeros_like(labels, dtype=torch.bool)
        if len(sure):
            # Of many candidates tried some pass by chance: fresh answers must agree.
            wrong[sure] = self._wrong_answers(images[sure], labels[sure], DRAWS) * 2 > DRAWS
        return wrong

    def _wrong_answers(self, images: Tensor, labels: Tensor, draws: int) -> Tensor:
        answers = [self.deployed.predict(images) != labels for _ in range(draws)]
        return torch.stack(answers).sum(0)


def answers_differ(deployed: Deployed, images: Tensor) -> Tensor:
    """Whether two answers to the same images differ: bool (N,)."""
    return deployed.predict(images) != deployed.predict(images)
