"""Gradients of a twin with respect to its input, its parameters left alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from robench.core.batches import ASKED, SAVED, SMALL, at_once
from robench.search.losses import Loss, margin

FIRST = 4
"""Images that tell how much a network keeps for the backward pass of one."""


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
    within `searching`. Without `differentiate` it costs one forward pass each. The network meets
    large images by as many at a time as memory is set for, by what the first few of them keep.
    """
    ask = partial(_at_once, twin, loss=loss, samples=samples, differentiate=differentiate)
    if math.prod(images.shape[1:]) <= SMALL or len(images) <= FIRST:
        return ask(images, labels)
    kept: list[int] = []
    with _noting(kept):
        found = [ask(images[:FIRST], labels[:FIRST])]
    step = min(at_once(images.shape[1:], ASKED), max(SAVED * FIRST // max(sum(kept), 1), 1))
    rest = zip(images[FIRST:].split(step), labels[FIRST:].split(step), strict=True)
    return _joined([*found, *(ask(*part) for part in rest)])


@contextmanager
def _noting(kept: list[int]) -> Iterator[None]:
    """Add to `kept` the floats of each tensor that is kept for a backward pass, but of weights."""
    seen: set[int] = set()

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter) and storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            kept.append(storage.nbytes() // 4)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield


def _joined(parts: list[LossGradient]) -> LossGradient:
    gradients = [part.gradient for part in parts if part.gradient is not None]
    return LossGradient(
        torch.cat([part.loss for part in parts]),
        torch.cat([part.margin for part in parts]),
        torch.cat(gradients) if gradients else None,
    )


def _at_once(
    twin: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss: Loss,
    samples: int,
    differentiate: bool,
) -> LossGradient:
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
