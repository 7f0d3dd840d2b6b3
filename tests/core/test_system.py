"""Networks as they are run: whatever they do inside."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from robench.core.system import forward


def test_a_network_may_differentiate_inside() -> None:
    class Anticipating(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = images.detach().requires_grad_()
                (slope,) = torch.autograd.grad(leaf.square().sum(), leaf)
            return slope.flatten(1)

    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(forward(Anticipating(), images), 2 * images.flatten(1))
