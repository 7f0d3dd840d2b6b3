"""Wide ResNet-32 for CIFAR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Model, require

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class WideResNet32(Model):
    """Pre-activation wide ResNet: three stages of five blocks (Zagoruyko & Komodakis, 2016)."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1605.07146"}

    recipe: ClassVar[Mapping[str, Any]] = {
        "optimizer": "sgd",
        "lr": 0.1,
        "weight_decay": 5e-4,
        "nesterov": True,
    }

    width: int = 4
    """Factor on the 16, 32 and 64 channels of the three stages."""

    def __post_init__(self) -> None:
        require(self.width >= 1, f"expected width >= 1, got {self.width}")

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network, for images of any size."""
        from robench_data.networks.wide_resnet import WideResNet

        return WideResNet(shape[0], classes, blocks=5, width=self.width)
