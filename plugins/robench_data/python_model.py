"""A network that the user's own python code makes."""

from __future__ import annotations

import hashlib
import inspect
import re
import traceback
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

        try:
            network = self._function()(shape, classes)
        except (PluginError, ConfigError):
            raise
        except Exception as error:
            raise PluginError(f"{self.spec} raised {_where(error)}") from error
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
        except Exception as error:  # the module's own code may raise anything
            raise PluginError(f"importing {module} raised {_where(error)}") from error
        return function


def _where(error: Exception) -> str:
    """An error with the file and line of the user's code that it left, the innermost call last."""
    frames = traceback.extract_tb(error.__traceback__)
    # Frames of this file called the user's code; those of libraries were called by it.
    mine = [frame for frame in frames if frame.filename != __file__]
    own = [frame for frame in mine if "site-packages" not in frame.filename] or mine
    at = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        at = f" at {error.filename}:{error.lineno}"
    return f"{type(error).__name__}{at}: {' '.join(str(error).split())}"
