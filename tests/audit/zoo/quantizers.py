"""Weights and activations rounded or bent."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def mapped(model: nn.Module, mu: float, last: int) -> nn.Module:
    """A copy whose last layers' weights went through mu-law (Song et al., 2021)."""
    result = copy.deepcopy(model)
    layers = [m for m in result.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    for layer in layers[-last:]:
        largest = layer.weight.detach().abs().max()
        unit = layer.weight.detach() / largest
        bent = unit.sign() * torch.log1p(mu * unit.abs()) / torch.log1p(torch.tensor(mu))
        layer.weight.data = bent * largest
    return result


class FakeQuant(nn.Module):
    """Symmetric fake quantization with a fixed step; straight-through inside its range."""

    def __init__(self, step: float, bits: int) -> None:
        super().__init__()
        self.step, self.top = step, 2 ** (bits - 1) - 1

    def forward(self, x: Tensor) -> Tensor:
        scaled = (x / self.step).clamp(-self.top - 1, self.top)
        return self.step * (scaled + (scaled.round() - scaled).detach())


def quantized(model: nn.Sequential, bits: int, images: Tensor) -> nn.Sequential:
    """Post-training quantization of weights (per tensor) and activations, as fake quantization."""
    layers: list[nn.Module] = []
    x = images
    for layer in copy.deepcopy(model):
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            step = float(layer.weight.detach().abs().max()) / (2 ** (bits - 1) - 1)
            layer.weight.data = (layer.weight.detach() / step).round() * step
        with torch.no_grad():
            x = layer(x)
        layers.append(layer)
        if not isinstance(layer, nn.Flatten):
            layers.append(FakeQuant(float(x.abs().max()) / (2 ** (bits - 1) - 1), bits))
    return nn.Sequential(*layers[:-1]).eval()


class QatLinear(nn.Module):
    """A layer whose weights are rounded to 4 bits in every forward pass, straight-through."""

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight
        step = weight.detach().abs().max() / 7
        weight = weight + ((weight / step).round() * step - weight).detach()
        result: Tensor = torch.func.functional_call(self.layer, {"weight": weight}, (x,))
        return result
