"""A small, fast network for images from 8x8 to CIFAR's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench import Model

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class SmallCNN(Model):
    """Three 3x3 convolutions (32, 32, 64), two max pools, 128 hidden units; no batch norm."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; raises ConfigError for images below 4x4 pixels."""
        from robench_data.networks.cnn import small_cnn

        return small_cnn(shape, classes)
