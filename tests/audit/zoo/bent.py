"""Masked by a backward pass that answers with something else than the derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.audit.zoo.exhibit import Exhibit, own
from tests.audit.zoo.layers import Scale
from tests.audit.zoo.networks import network

if TYPE_CHECKING:
    from tests.audit.zoo import Zoo

Bend = Callable[[Tensor], Tensor]


class Bent(torch.autograd.Function):
    """The identity, whose backward pass bends the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bend: Bend) -> Tensor:
        ctx.bend = bend
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return ctx.bend(gradients[0]), None


class Bending(nn.Module):
    """A layer around `Bent`."""

    def __init__(self, bend: Bend) -> None:
        super().__init__()
        self.bend = bend

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Bent.apply(x, self.bend)
        return result


def _fixed(shape: torch.Size, share: float) -> Tensor:
    """A mask that is always the same: True on about that share of places."""
    rng = torch.Generator().manual_seed(5)
    return torch.rand(shape, generator=rng) < share


def flipped(gradient: Tensor) -> Tensor:
    """A quarter of the pixels with the wrong sign."""
    return gradient * (1 - 2 * _fixed(gradient.shape[1:], 0.25).float())


def blurred(gradient: Tensor) -> Tensor:
    """The gradient's local mean."""
    kernel = torch.full((gradient.shape[1], 1, 3, 3), 1 / 9)
    return F.conv2d(gradient, kernel, padding=1, groups=gradient.shape[1])


def stripped(gradient: Tensor) -> Tensor:
    """Two thirds of the pixels without any."""
    return gradient * _fixed(gradient.shape[1:], 0.33)


def backward_flipped(zoo: Zoo) -> Exhibit:
    return own("backward_flipped", nn.Sequential(Bending(flipped), *zoo.base()), zoo.base())


def backward_blurred(zoo: Zoo) -> Exhibit:
    return own("backward_blurred", nn.Sequential(Bending(blurred), *zoo.base()), zoo.base())


def backward_masked(zoo: Zoo) -> Exhibit:
    return own("backward_masked", nn.Sequential(Bending(stripped), *zoo.base()), zoo.base())


class Decoy(nn.Module):
    """The true logits without a graph, and another network's gradient."""

    def __init__(self, true: nn.Module, decoy: nn.Module, mixed: float) -> None:
        super().__init__()
        self.true, self.decoy, self.mixed = true, decoy, mixed

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            logits = self.true(x)
        other = self.decoy(x)
        shown: Tensor = logits + (other - other.detach())
        if self.mixed:
            own = self.true(x)
            shown = shown + self.mixed * (own - own.detach())
        return shown


def nograd_decoy(zoo: Zoo) -> Exhibit:
    """The true path under `no_grad`, beside an untrained network's."""
    decoy = network(zoo.lesson, seed=3)
    return own("nograd_decoy", Decoy(zoo.base(), decoy, 0.0), zoo.base())


def decoy_gradient(zoo: Zoo) -> Exhibit:
    """Half of the true gradient, and an untrained network's as large again."""
    decoy = nn.Sequential(*network(zoo.lesson, seed=4), Scale(400.0))
    return own("decoy_gradient", Decoy(zoo.base(), decoy, 0.5), zoo.base())
