"""The layers of a network that hold weights, named and in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from robench.base.errors import ConfigError

if TYPE_CHECKING:
    Weighted = nn.Conv2d | nn.Linear

LAYER_KINDS: dict[str, type[nn.Module]] = {"conv": nn.Conv2d, "linear": nn.Linear}


def weight_layers(model: nn.Module) -> dict[str, Weighted]:
    """All convolutions and linear layers by name, in the order of their definition."""
    return {n: m for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}


def chosen_layers(model: nn.Module, choice: int | str | Sequence[str]) -> dict[str, Weighted]:
    """The last n layers, those of a kind (`conv`, `linear`), or those of the given names.

    Raises ConfigError when the model does not have them.
    """
    layers = weight_layers(model)
    if isinstance(choice, int):
        if not 1 <= choice <= len(layers):
            raise ConfigError(
                f"expected layers between 1 and {len(layers)}, which this model has, got {choice}"
            )
        return dict(list(layers.items())[-choice:])
    if isinstance(choice, str) and choice in LAYER_KINDS:
        found = {n: m for n, m in layers.items() if isinstance(m, LAYER_KINDS[choice])}
        if not found:
            raise ConfigError(f"expected a model with {choice} layers, got none")
        return found
    names = [choice] if isinstance(choice, str) else list(choice)
    if unknown := [name for name in names if name not in layers]:
        raise ConfigError(
            f"expected layers among {', '.join(layers) or 'none'}, got {', '.join(unknown)}"
        )
    return {name: layers[name] for name in names}
