"""ResNet-9 for CIFAR: trains in minutes on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Model, require

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class ResNet9(Model):
    """Shallow residual network with batch norm (Page, 2018), narrow enough for a CPU."""

    recipe: ClassVar[Mapping[str, Any]] = {
        "optimizer": "sgd",
        "lr": 0.1,
        "weight_decay": 5e-4,
        "nesterov": True,
        "warmup": 1.0,
    }

    width: int = 16
    """Channels of the first convolution, an eighth of the last's; Page's network has 64."""

    def __post_init__(self) -> None:
        require(self.width >= 1, f"expected width >= 1, got {self.width}")

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network; raises ConfigError for images below 8x8 pixels."""
        from robench_data.networks.resnet9 import ResNet9

        require(min(shape[1:]) >= 8, f"expected images of 8x8 pixels or more, got {shape[1:]}")
        return ResNet9(shape[0], classes, self.width)
