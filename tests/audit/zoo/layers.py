"""Layers that get in a gradient's way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Straight(nn.Module):
    """Applies a function; its gradient is the identity's (straight-through), or its own."""

    def __init__(self, function: Callable[[Tensor], Tensor], through: bool) -> None:
        super().__init__()
        self.function, self.through = function, through

    def forward(self, x: Tensor) -> Tensor:
        y = self.function(x)
        return x + (y - x).detach() if self.through else y


def rounded(levels: int) -> Callable[[Tensor], Tensor]:
    """Round to multiples of 1/levels."""
    return lambda x: (x * levels).round() / levels


def numpy_bits(x: Tensor) -> Tensor:
    """Outside of torch: keep three bits a pixel and smooth along the rows."""
    import numpy as np

    array = np.floor(x.detach().cpu().numpy() * 7.999) / 7
    smooth = 0.1 * np.roll(array, 1, -1) + 0.8 * array + 0.1 * np.roll(array, -1, -1)
    return torch.from_numpy(smooth.astype("float32")).to(x.device)


class Winners(nn.Module):
    """k-winners-take-all (Xiao et al., 2020): only the largest share of activations passes."""

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        k = max(1, int(self.share * flat.shape[1]))
        limit = flat.topk(k, 1).values[:, -1:]
        return (flat * (flat >= limit)).view_as(x)


class Steep(nn.Module):
    """A sigmoid so steep that it is saturated almost everywhere."""

    def __init__(self, slope: float = 1.0) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.slope * x)


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Shattered(torch.autograd.Function):
    """The identity, whose backward pass answers with unrelated signs."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        (x,) = ctx.saved_tensors
        return gradient * torch.sin(x * 1e4 + gradient * 1e6).sign()


class Shatter(nn.Module):
    """A layer around `Shattered`."""

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Shattered.apply(x)
        return result
