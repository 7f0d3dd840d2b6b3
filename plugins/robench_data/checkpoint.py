"""A trained network from a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import ConfigError, Model, expand_home, registry, require
from robench_data.torchvision_model import TorchvisionModel

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Model):
    """A trained network from safetensors, or a torch file of tensors alone (no pickled code).

    With defense=none it is judged as it is; a defense that trains starts from its weights.
    """

    pretrained: ClassVar[bool] = True

    path: str = ""
    """The file: .safetensors, or a state dict that torch reads with weights_only."""
    architecture: str = "small_cnn"
    """A registered architecture such as small_cnn, or a torchvision classifier's name."""
    options: Any = None
    """Options of the architecture, for example {width: 10}."""

    def __post_init__(self) -> None:
        require(bool(self.path), "expected a file of weights, got none; set model.checkpoint.path")
        self._chosen()

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the network with the file's weights; raises UserError when they do not fit."""
        from robench import read_tensors
        from robench_data.networks.loading import load_all

        state = read_tensors(expand_home(self.path))
        chosen = self._chosen()
        whole = chosen.build(shape, classes)
        inner = isinstance(chosen, TorchvisionModel)
        network = whole.get_submodule("network") if inner else whole
        load_all(network, _without(state, "network.") if inner else state, self.path)
        return whole

    def untrained(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Make the architecture alone."""
        return self._chosen().build(shape, classes)

    def identity(self) -> str:
        """Digest of the file; raises UserError when it is absent."""
        from robench_data.digests import file_digest

        return file_digest(self.path)

    def _chosen(self) -> Model:
        choice = registry().choices["model"].get(self.architecture)
        options = {} if self.options is None else self.options
        try:
            if choice is None or not _is_architecture(choice.cls):
                return TorchvisionModel(name=self.architecture, **options)
            model = choice.make(**options)
        except TypeError as error:
            raise ConfigError(
                f"expected a mapping of options of {self.architecture}, got {options!r}; "
                "see `robench plugins model`"
            ) from error
        assert isinstance(model, Model)
        return model


def _is_architecture(cls: type) -> bool:
    """Whether options alone decide the network: neither code of the user's nor another file."""
    return issubclass(cls, Model) and cls.identity is Model.identity


def _without(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors with a prefix of ours taken off, so that torchvision's own files fit too."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}
