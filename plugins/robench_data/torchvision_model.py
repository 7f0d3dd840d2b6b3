"""Torchvision's classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from robench import Model, expand_home

if TYPE_CHECKING:
    from torch import nn

IMAGENET = "imagenet"


@dataclass(frozen=True, kw_only=True)
class TorchvisionModel(Model):
    """A classifier of torchvision by name, its ImageNet normalisation inside.

    Images of one channel are repeated to three. Weights fill all layers but the head, which is
    new unless the number of classes agrees; training fine-tunes the whole network.
    """

    recipe: ClassVar[Mapping[str, Any]] = {"optimizer": "sgd", "lr": 0.01, "weight_decay": 1e-4}

    name: str = "resnet18"
    """A classifier in torchvision.models, for example resnet50."""
    weights: Optional[str] = None
    """imagenet (downloaded, checksum verified), a file of weights, or null: random ones."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network.

        Raises ConfigError for an unknown name, UserError for weights that are not to be had or
        belong to another architecture.
        """
        from robench import read_tensors
        from robench_data.networks.classifiers import classifier, imagenet_tensors
        from robench_data.networks.loading import load_body

        whole = classifier(self.name, shape[0], classes)
        network = whole.get_submodule("network")
        if self.weights == IMAGENET:
            load_body(network, imagenet_tensors(self.name), "torchvision's ImageNet weights")
        elif self.weights is not None:
            load_body(network, read_tensors(expand_home(self.weights)), self.weights)
        return whole

    def untrained(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the architecture alone, with random weights."""
        return replace(self, weights=None).build(shape, classes)

    def identity(self) -> str:
        """Digest of the file of weights, if one is named; raises UserError when it is absent."""
        from robench_data.digests import file_digest

        return "" if self.weights in (None, IMAGENET) else file_digest(str(self.weights))
