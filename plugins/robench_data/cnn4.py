"""The 4-layer network of Song et al. (2021) for MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench import Model

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class CNN4(Model):
    """5x5 convolutions of 32 and 64 channels, each max-pooled, then 512 hidden units."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; raises ConfigError for images below 4x4 pixels."""
        from robench_data.networks.cnn import cnn4

        return cnn4(shape, classes)
