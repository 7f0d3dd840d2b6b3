"""A trained network from a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import ConfigError, Model, require
from robench_data.cnn4 import CNN4
from robench_data.resnet9 import ResNet9
from robench_data.resnet20 import ResNet20
from robench_data.small_cnn import SmallCNN
from robench_data.torchvision_model import TorchvisionModel
from robench_data.wide_resnet32 import WideResNet32

if TYPE_CHECKING:
    from torch import Tensor, nn

ARCHITECTURES: dict[str, type[Model]] = {
    "small_cnn": SmallCNN,
    "cnn4": CNN4,
    "resnet9": ResNet9,
    "resnet20": ResNet20,
    "wide_resnet32": WideResNet32,
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Model):
    """A trained network from safetensors, or a torch file of tensors alone (no pickled code).

    With defense=none it is judged as it is; a defense that trains starts from its weights.
    """

    pretrained: ClassVar[bool] = True

    path: str = ""
    """The file: .safetensors, or a state dict that torch reads with weights_only."""
    architecture: str = "small_cnn"
    """small_cnn, cnn4, resnet9, resnet20, wide_resnet32, or a torchvision classifier's name."""
    options: Any = None
    """Options of the architecture, for example {width: 10}."""

    def __post_init__(self) -> None:
        require(bool(self.path), "expected a file of weights, got none; set model.checkpoint.path")
        self._untrained()

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network with the file's weights; raises UserError when they do not fit."""
        from robench.core.weights import read_tensors
        from robench_data.networks.loading import load_all

        state = read_tensors(Path(self.path).expanduser())
        whole = self._untrained().build(shape, classes)
        inner = self.architecture not in ARCHITECTURES
        network = whole.get_submodule("network") if inner else whole
        load_all(network, _without(state, "network.") if inner else state, self.path)
        return whole

    def identity(self) -> str:
        """Digest of the file; raises UserError when it is absent."""
        from robench_data.digests import file_digest

        return file_digest(self.path)

    def _untrained(self) -> Model:
        cls = ARCHITECTURES.get(self.architecture)
        options = {} if self.options is None else self.options
        try:
            if cls is not None:
                return cls(**options)
            return TorchvisionModel(name=self.architecture, **options)
        except TypeError as error:
            raise ConfigError(
                f"expected a mapping of options of {self.architecture}, got {options!r}; "
                "see `robench plugins model`"
            ) from error


def _without(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors with a prefix of ours taken off, so that torchvision's own files fit too."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}
