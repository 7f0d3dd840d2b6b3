"""Layers that all networks begin with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Normalise float images in [0,1] per channel: (x - mean) / std.

    A layer of the network, so that eps and radii stay in pixels of the image.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # Constants of the architecture, so that weights from elsewhere load without them.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to the same shape."""
        return (images - self.mean) / self.std


def centre(channels: int) -> Normalize:
    """The normalisation of networks trained from scratch: [0,1] to [-2,2]."""
    return Normalize([0.5] * channels, [0.25] * channels)
