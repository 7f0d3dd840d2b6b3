"""A linear network, whose robust accuracy is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Linear:
    """Logits W x + b of images whose balls do not meet the pixel range, all right when clean."""

    net: nn.Sequential
    images: Tensor
    labels: Tensor

    def eps(self, norm: str) -> float:
        """A radius, in Linf on the 8-bit grid, at which about half of the images can be broken."""
        slope, gaps = self._slope(norm), self.gap(norm, 0.0)
        needed = (-gaps / slope).nan_to_num(torch.inf, torch.inf).amin(1).median().item()
        return round(255 * needed) / 255 if norm == "linf" else 1.01 * needed

    def gap(self, norm: str, eps: float) -> Tensor:
        """The highest gap to each class inside the ball: (N, classes); -inf for the label."""
        with torch.no_grad():
            logits = self.net(self.images)
        gaps: Tensor = logits - logits.gather(1, self.labels[:, None]) + eps * self._slope(norm)
        return gaps.scatter(1, self.labels[:, None], -torch.inf)

    def broken(self, norm: str, eps: float, bias: float = 0.0) -> Tensor:
        """Which images some candidate takes `bias` over the boundary: bool (N,)."""
        return (self.gap(norm, eps) > bias).any(1)

    def _slope(self, norm: str) -> Tensor:
        weight = self.net[1].weight.detach()
        slope = weight[None] - weight[self.labels][:, None]
        return slope.abs().sum(2) if norm == "linf" else slope.norm(dim=2)


def linear(count: int = 60, classes: int = 10, seed: int = 0) -> Linear:
    rng = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, classes))
    with torch.no_grad():
        net[1].weight.copy_(torch.randn(classes, 36, generator=rng))
        net[1].bias.copy_(-net[1].weight.sum(1) / 2)
    images = torch.randint(60, 196, (count, 1, 6, 6), generator=rng).float() / 255
    with torch.no_grad():
        labels = net(images).argmax(1)
    return Linear(net.eval(), images, labels)
