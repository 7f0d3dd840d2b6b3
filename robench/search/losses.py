"""What a search maximises: one loss per image, larger the more wrong the twin is.

Each of `LOSSES` also takes a target class an image, and then grows as the twin moves from the label
to that class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from robench.base.errors import ConfigError

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, classes) and int64 labels (N,) -> loss per image (N,)."""


class TargetedLoss(Protocol):
    """A `Loss` that also takes int64 target classes (N,)."""

    def __call__(self, logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """Loss per image (N,); without targets any wrong class will do."""
        ...


def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """Cross-entropy per image: shape (N,), natural logarithm; minus the targets', if given."""
    if targets is not None:
        return -F.cross_entropy(logits, targets, reduction="none")
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """Largest wrong logit, or the target's, minus the label's: shape (N,).

    Without targets it is above 0 where the twin is wrong: Carlini & Wagner (2017), section V, f6
    without its bound.
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    if targets is not None:
        return logits.gather(1, targets[:, None])[:, 0] - own
    rest = logits.scatter(1, labels[:, None], float("-inf"))
    return rest.amax(1) - own


def dlr(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """Difference of logits ratio, which no scale or shift of the logits changes: shape (N,).

    Croce & Hein (2020), eq. 6: the margin over the distance of the largest logit to the third
    largest; with targets, eq. 7: over that to the mean of the third and the fourth. With too few
    classes for that it is the margin itself.
    """
    difference = margin(logits, labels, targets)
    kept = 3 if targets is None else 4
    if logits.shape[1] < kept:
        return difference
    top = logits.topk(kept, dim=1).values
    return difference / (top[:, 0] - top[:, 2:].mean(1) + 1e-12)


def probability_margin(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """The margin of the softmax probabilities: shape (N,), in [-1,1].

    The loss of the probability margin attack (Xie et al., 2024).
    """
    return margin(logits.softmax(1), labels, targets)


LOSSES: dict[str, TargetedLoss] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "dlr": dlr,
    "probability_margin": probability_margin,
}
"""Losses by the name an option gives them."""


def resolve_loss(loss: str | Loss) -> Loss:
    """The loss of a name, or the function itself; raises ConfigError for an unknown name."""
    return named_loss(loss) if isinstance(loss, str) else loss


def named_loss(name: str) -> TargetedLoss:
    """The loss of a name; raises ConfigError for an unknown one."""
    if name not in LOSSES:
        raise ConfigError(f"expected loss to be one of {', '.join(LOSSES)}, got {name!r}")
    return LOSSES[name]
