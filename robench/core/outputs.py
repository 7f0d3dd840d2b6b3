"""What a network's outputs are: logits, or what a softmax or a sigmoid makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from robench.core.system import module_device

if TYPE_CHECKING:
    from torch import Tensor, nn

Ending = Literal["", "softmax", "log_softmax", "sigmoid"]
ROUNDED = 1e-3
"""By how much a sum of probabilities may miss 1: float16 rounds it by half of that."""


def ending(network: nn.Module, images: Tensor) -> Ending:
    """What a network ends in, by its answers to float32 images in [0,1]; empty for logits.

    A softmax is told by rows that sum to 1, a sigmoid, whose numbers might be logits, by the
    gradient alone, where there is one.
    """
    with torch.enable_grad():
        found: Tensor = network(images.to(module_device(network)))
    made_by = type(found.grad_fn).__name__
    if made_by == "SigmoidBackward0":
        return "sigmoid"
    return normalised(found.detach())


def normalised(outputs: Tensor) -> Ending:
    """Whether outputs (N, classes) are those of a softmax, or its logarithm; empty for logits.

    Outputs that are the same for all images say nothing.
    """
    rows = outputs.double()
    if len(rows) < 2 or bool((rows == rows[0]).all()):
        return ""
    if bool((rows >= 0).all()) and _sum_to_one(rows):
        return "softmax"
    if bool((rows <= 0).all()) and _sum_to_one(rows.exp()):
        return "log_softmax"
    return ""


def _sum_to_one(rows: Tensor) -> bool:
    return bool(((rows.sum(1) - 1).abs() < ROUNDED).all())
