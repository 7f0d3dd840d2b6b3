"""What a search maximises: one loss per image, larger the more wrong the twin is."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from robench.base.errors import ConfigError

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, classes) and int64 labels (N,) -> loss per image (N,)."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy per image: shape (N,), natural logarithm."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Largest wrong logit minus the label's: shape (N,), above 0 where the twin is wrong.

    Carlini & Wagner (2017), section V, f6 without its bound.
    """
    own = logits.gather(1, labels[:, None])[:, 0]
    rest = logits.scatter(1, labels[:, None], float("-inf"))
    return rest.amax(1) - own


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio, which no scale or shift of the logits changes: shape (N,).

    Croce & Hein (2020), eq. 6: the margin over the distance of the largest logit to the third
    largest. With two classes there is no third: the margin itself, whose direction is the same.
    """
    difference = margin(logits, labels)
    if logits.shape[1] < 3:
        return difference
    top = logits.topk(3, dim=1).values
    return difference / (top[:, 0] - top[:, 2] + 1e-12)


RivalLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits (N, classes), labels (N,) and rival classes (N,) -> loss per image (N,).

A rival is the class that an image shall be taken for, or the highest wrong one.
"""


def rival_margin(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """The rival's logit minus the label's: shape (N,)."""
    return logits.gather(1, rivals[:, None])[:, 0] - logits.gather(1, labels[:, None])[:, 0]


def probability_margin(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """The rival's probability minus the label's, in [-1,1]: shape (N,).

    PMA's loss (Xie et al., 2024, eq. 5).
    """
    return rival_margin(logits.softmax(1), labels, rivals)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}
"""Losses by the name an option gives them."""


def resolve_loss(loss: str | Loss) -> Loss:
    """The loss of a name, or the function itself; raises ConfigError for an unknown name."""
    if not isinstance(loss, str):
        return loss
    if loss not in LOSSES:
        raise ConfigError(f"expected loss to be one of {', '.join(LOSSES)}, got {loss!r}")
    return LOSSES[loss]
