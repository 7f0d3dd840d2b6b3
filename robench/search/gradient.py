"""Gradients of a twin with respect to its input, its parameters left alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.search.losses import Loss, margin


@contextmanager
def searching(twin: nn.Module) -> Iterator[None]:
    """Hold a twin in eval mode with frozen parameters; afterwards put all back as it was.

    In eval mode batch statistics and dropout are those of the classifier that ships, and a search
    inside training does not disturb the running statistics. Parameters keep their `.grad` even
    when foreign code inside clears it.
    """
    training = [module for module in twin.modules() if module.training]
    learning = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    grads = [parameter.grad for parameter in learning]
    twin.eval()
    for parameter in learning:
        parameter.requires_grad_(False)
        parameter.grad = None
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter, grad in zip(learning, grads, strict=True):
            parameter.requires_grad_(True)
            parameter.grad = grad
        for module in training:
            module.training = True


@dataclass(frozen=True)
class LossGradient:
    """A twin's answer at a batch of images: `loss` and `margin` (N,), `gradient` (N, C, H, W).

    The margin is above 0 where the twin is wrong. The gradient is raw: it may hold NaN or Inf; it
    is None where the search had no use for it.
    """

    loss: Tensor
    margin: Tensor
    gradient: Tensor | None


def loss_gradient(
    twin: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    samples: int = 1,
    differentiate: bool = True,
) -> LossGradient:
    """Differentiate `loss` per image, averaged over `samples` evaluations of a random twin.

    The average over evaluations is expectation over transformation (Athalye et al., 2018). Call it
    within `searching`. Without `differentiate` it costs one forward pass each.
    """
    losses, margins, gradients = [], [], []
    for _ in range(samples):
        leaf = images.detach().requires_grad_(differentiate)
        logits = twin(leaf)
        value = loss(logits, labels)
        losses.append(value.detach())
        margins.append(margin(logits.detach(), labels))
        if differentiate:
            gradients.append(input_gradient(value, leaf))
    return LossGradient(_mean(losses), _mean(margins), _mean(gradients) if differentiate else None)


def _mean(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).mean(0)


def input_gradient(losses: Tensor, images: Tensor) -> Tensor:
    """Gradient of the summed losses; zeros where the twin lets none through."""
    if not losses.requires_grad:
        return torch.zeros_like(images)
    (gradient,) = torch.autograd.grad(losses.sum(), images, allow_unused=True)
    return torch.zeros_like(images) if gradient is None else gradient


def finite(gradient: Tensor) -> Tensor:
    """The gradient with NaN and Inf replaced by 0."""
    return gradient.nan_to_num(0.0, 0.0, 0.0)


def unit(delta: Tensor, norm: str) -> Tensor:
    """Steepest direction per image under `norm`: the sign, or length 1 in L2; 0 stays 0."""
    if norm == "linf":
        return delta.sign()
    # Scaling by the largest entry first keeps the squares of tiny gradients above underflow.
    shape = (-1, *[1] * (delta.dim() - 1))
    largest = delta.abs().flatten(1).amax(1).view(shape)
    scaled = delta / largest.clamp_min(torch.finfo(delta.dtype).tiny)
    length: Tensor = torch.linalg.vector_norm(scaled.flatten(1), dim=1).view(shape)
    return scaled / length.clamp_min(1e-12)
