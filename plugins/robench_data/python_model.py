"""A network that the user's own python code makes."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robench import ConfigError, Model, PluginError, require

if TYPE_CHECKING:
    from torch import nn

NAME = r"[^\W\d]\w*"
SPEC = re.compile(rf"{NAME}(\.{NAME})*:{NAME}")


@dataclass(frozen=True, kw_only=True)
class PythonModel(Model):
    """A network made by `module:function`; only from your own command line, as it runs that code.

    The module must be importable (installed, or on PYTHONPATH). The function is called with the
    image shape (C, H, W) and the number of classes, and returns an nn.Module: float32 images in
    [0,1] to logits.
    """

    spec: str = ""
    """module:function, for example my_nets:make."""
    pretrained: bool = False  # type: ignore[misc]  # here the user says it, not the class
    """Whether the function returns a trained network, to be left as it is."""

    def __post_init__(self) -> None:
        require(
            SPEC.fullmatch(self.spec) is not None,
            f'expected spec="module:function", got {self.spec!r}; set model.python.spec',
        )

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """Call the function; raises PluginError unless it returns an nn.Module."""
        from torch import nn

        network = self._function()(shape, classes)
        if not isinstance(network, nn.Module):
            raise PluginError(
                f"expected an nn.Module from {self.spec}, got {type(network).__name__}"
            )
        return network

    def identity(self) -> str:
        """Digest of the module's source: when it changes, the network is trained anew.

        Raises ConfigError for what has no source.
        """
        function = self._function()
        try:
            source = inspect.getsourcefile(function)
        except TypeError as error:  # compiled, or no function at all
            raise ConfigError(
                f"expected a function written in Python at {self.spec}, got "
                f"{type(function).__name__}; set model.python.spec"
            ) from error
        return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""

    def _function(self) -> Callable[..., Any]:
        module, _, name = self.spec.partition(":")
        try:
            function: Callable[..., Any] = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"expected a function at {self.spec}, got {type(error).__name__}: {error}; "
                "is the module installed or on PYTHONPATH?"
            ) from error
        return function
