"""What a search attacks: gradients come from one model, success is another's word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.search.square import Scores

Wrong = Callable[[Tensor, Tensor], Tensor]
"""Legal candidates (M, C, H, W), float32 in [0,1], and their labels (M,) -> bool (M,)."""


@dataclass(frozen=True)
class Target:
    """A twin to search on, and the deployed model's word on what the search found."""

    twin: nn.Module
    wrong: Wrong
    """Which candidates the deployed model surely gets wrong; of a randomised one by many draws."""
    scores: Scores
    """What queries read: the deployed model's logits, or the twin's where it gives none."""
    randomised: bool = False
    """Whether two calls on the same images may differ."""
    queried: bool = False
    """Whether a search without gradients asked for these scores already: none is made again."""

    @classmethod
    def of(cls, twin: nn.Module, randomised: bool = False) -> Target:
        """A twin that judges itself, by one answer."""

        def scores(images: Tensor) -> Tensor:
            with torch.no_grad():
                logits: Tensor = twin(images)
            return logits

        def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
            return scores(candidates).argmax(1) != labels

        return cls(twin, wrong, scores, randomised)
