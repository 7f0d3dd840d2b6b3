"""ResNet-20 for CIFAR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Model, require

if TYPE_CHECKING:
    from torch import nn

SHORTCUTS = ("conv", "pad")


@dataclass(frozen=True, kw_only=True)
class ResNet20(Model):
    """CIFAR ResNet of 20 layers, version 1, with batch norm (He et al., 2016)."""

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1512.03385"}

    recipe: ClassVar[Mapping[str, Any]] = {"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4}

    shortcut: str = "conv"
    """conv (1x1 convolutions) or pad (the paper's option A, without parameters)."""

    def __post_init__(self) -> None:
        require(
            self.shortcut in SHORTCUTS,
            f"expected shortcut to be one of {', '.join(SHORTCUTS)}, got {self.shortcut!r}",
        )

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network, for images of any size."""
        from robench_data.networks.resnet import ResNet

        return ResNet(shape[0], classes, blocks=3, kind=self.shortcut)
