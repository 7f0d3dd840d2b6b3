"""A small network like MobileNet v2 (Sandler et al., 2018) for images of 32x32 pixels.

robench run model=python model.python.spec=benchmarks.files.mobilenet:make dataset=cifar10
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEM = 16
BLOCKS = ((16, 1), (24, 2), (24, 1), (24, 1), (48, 2), (48, 1), (48, 1))
"""Channels that a block gives, and its stride."""
EXPANSION = 3


def _convolution(
    inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """Widen, filter each channel alone, narrow; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = inputs * EXPANSION
        self.path = nn.Sequential(
            *_convolution(inputs, wide, 1),
            nn.ReLU6(),
            *_convolution(wide, wide, 3, stride, groups=wide),
            nn.ReLU6(),
            *_convolution(wide, outputs, 1),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.path(x)
        return x + y if self.adds else y


class MobileNet(nn.Module):
    """Float images in [0,1], shape (N, C, 32, 32), to logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((channels, 1, 1), 0.5))
        blocks, inputs = [], STEM
        for outputs, stride in BLOCKS:
            blocks.append(InvertedResidual(inputs, outputs, stride))
            inputs = outputs
        self.features = nn.Sequential(
            *_convolution(channels, STEM, 3),
            nn.ReLU6(),
            *blocks,
            *_convolution(inputs, 2 * inputs, 1),
            nn.ReLU6(),
        )
        self.head = nn.Linear(2 * inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.features((images - self.mean) * 4)
        return self.head(features.mean((2, 3)))


def make(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A new network for images of a shape (C, H, W)."""
    return MobileNet(shape[0], classes)
