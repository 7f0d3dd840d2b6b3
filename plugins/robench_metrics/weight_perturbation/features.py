"""What each layer makes of an attack and of weight errors: the terms of
delta = W dx + dW x + dW dx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from robench import module_device, weight_layers

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 100


@dataclass(frozen=True)
class Terms:
    """Of one layer, a number per image: L2 norms of its inputs' and outputs' parts."""

    distance: Tensor
    """|dx| / |x|: how far the layer's input was moved, relative to it."""
    w_x: Tensor
    w_dx: Tensor
    dw_x: Tensor
    dw_dx: Tensor


def terms(
    reference: nn.Module, deployed: nn.Module, images: Tensor, adversarial: Tensor
) -> dict[str, Terms]:
    """The terms of every layer that both networks have, by name.

    W and x are the reference's weights and the layer's input on clean `images`; W + dW and x + dx
    the deployed network's on the adversarial ones. Both image tensors are float32 in [0,1].
    """
    parts: dict[str, list[Terms]] = {}
    layers, others = weight_layers(reference), weight_layers(deployed)
    for clean, attacked in zip(images.split(BATCH), adversarial.split(BATCH), strict=True):
        before, after = inputs(reference, clean), inputs(deployed, attacked)
        for name, x in before.items():
            if name in after:
                change = after[name] - x
                found = _terms(layers[name], others[name], x, change)
                parts.setdefault(name, []).append(found)
    return {name: _cat(found) for name, found in parts.items()}


def inputs(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What each convolution and linear layer receives for images, by the layer's name."""
    with _recording(model) as found, torch.no_grad():
        model(images.to(module_device(model)))
    return found


@contextmanager
def _recording(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(layer: nn.Module, received: tuple[Tensor, ...]) -> None:
            del layer
            found[name] = received[0]

        return hook

    handles = [
        layer.register_forward_pre_hook(keep(name)) for name, layer in weight_layers(model).items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _terms(layer: nn.Module, deployed: nn.Module, x: Tensor, dx: Tensor) -> Terms:
    weight, error = layer.weight, deployed.weight - layer.weight  # type: ignore[operator]

    def length(weights: Any, received: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(_apply(layer, weights, received).flatten(1), dim=1)
        return norms.cpu()

    with torch.no_grad():
        return Terms(
            (dx.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1).clamp_min(1e-12)).cpu(),
            length(weight, x),
            length(weight, dx),
            length(error, x),
            length(error, dx),
        )


def _apply(layer: nn.Module, weights: Tensor, received: Tensor) -> Tensor:
    """The layer's linear map with other weights and no bias."""
    if not isinstance(layer, nn.Conv2d):
        return F.linear(received, weights)
    # The layer's own forward knows its padding mode.
    result: Tensor = layer._conv_forward(received, weights, None)
    return result


def _cat(found: list[Terms]) -> Terms:
    names = ("distance", "w_x", "w_dx", "dw_x", "dw_dx")
    return Terms(*(torch.cat([getattr(terms, name) for terms in found]) for name in names))
