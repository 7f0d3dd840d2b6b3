"""What counts as wrong: one answer of a deterministic model, many of a randomised one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.system import Deployed

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

    def right(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether clean images are classified right, by a randomised model mostly: bool (N,)."""
        if not self.randomised:
            return self.deployed.predict(images) == labels
        count = self._wrong_answers(images, labels, FIRST)
        unsure = ((count > 0) & (count < FIRST)).nonzero()[:, 0]
        right = count == 0
        right[unsure] = self._asked_again(count, images, labels, unsure) * 2 <= DRAWS
        return right

    def wrong(self, images: Tensor, labels: Tensor) -> Tensor:
        """Whether candidates are surely classified wrong, never by one lucky draw: bool (N,)."""
        if not self.randomised:
            return self.deployed.predict(images) != labels
        count = self._wrong_answers(images, labels, FIRST)
        unsure = ((count >= LIKELY) & (count < FIRST)).nonzero()[:, 0]
        wrong = count == FIRST
        wrong[unsure] = self._asked_again(count, images, labels, unsure) >= SURELY_WRONG
        sure = wrong.nonzero()[:, 0]
        wrong[sure] = self._wrong_answers(images[sure], labels[sure], FRESH) * 2 > FRESH
        return wrong

    def _asked_again(self, count: Tensor, images: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        """Wrong ones among DRAWS answers, the first of which are counted: shape of `index`."""
        return count[index] + self._wrong_answers(images[index], labels[index], DRAWS - FIRST)

    def _wrong_answers(self, images: Tensor, labels: Tensor, draws: int) -> Tensor:
        if len(labels) == 0:
            return torch.zeros_like(labels)
        answers = [self.deployed.predict(images) != labels for _ in range(draws)]
        return torch.stack(answers).sum(0)
