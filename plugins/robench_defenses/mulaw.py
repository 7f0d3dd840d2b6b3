"""The mu-law map of trained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Defense, require

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench import Attack, System, Threat


@dataclass(frozen=True, kw_only=True)
class MuLaw(Defense):
    """Nonlinear mapping of the last layers' weights after training (Song et al., 2021).

    Each layer's weights are divided by their largest absolute value, mapped by
    F(x) = sgn(x) ln(1 + mu |x|) / ln(1 + mu), and multiplied back; biases stay as they are, and
    so does a layer whose weights are all zero.
    """

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/2012.14965"}

    mu: float = 255.0
    """Strength of the map: towards 0 it changes nothing."""
    layers: Any = 1
    """The last n layers (the classifier first), conv, linear, or a list of names."""

    def __post_init__(self) -> None:
        require(
            math.isfinite(self.mu) and self.mu > 0,
            f"expected a finite mu > 0, got {self.mu}; leave mulaw out for no map",
        )
        require(
            _is_choice(self.layers),
            "expected layers to be a number >= 1, conv, linear or a list of names, "
            f"got {self.layers!r}",
        )

    def transform(self, model: nn.Module) -> nn.Module:
        """A copy with mapped weights; raises ConfigError when it lacks the layers."""
        from copy import deepcopy

        import torch

        from robench import chosen_layers

        mapped = deepcopy(model)
        with torch.no_grad():
            for layer in chosen_layers(mapped, self.layers).values():
                layer.weight.copy_(map_weights(layer.weight, self.mu))
        return mapped

    def adaptive(self, system: System, threat: Threat) -> Attack | None:
        """Ascent behind the map, where the twin still has the mapped layers as float weights."""
        del threat
        from copy import deepcopy

        import torch

        from robench import ConfigError, chosen_layers
        from robench_defenses.adaptive import BehindTheMap

        straight = deepcopy(system.twin)
        try:
            layers = chosen_layers(straight, self.layers).values()
        except ConfigError:
            return None
        with torch.no_grad():
            for layer in layers:
                layer.weight.copy_(unmap_weights(layer.weight, self.mu))
        return BehindTheMap(straight=straight)


def map_weights(weights: Tensor, mu: float) -> Tensor:
    """F of weights of any shape, scaled by their largest absolute value; zeros stay zeros."""
    largest = weights.double().abs().max()
    share = weights.double().abs() / largest.clamp_min(1e-300)
    return (weights.sign() * largest * (mu * share).log1p() / math.log1p(mu)).to(weights.dtype)


def unmap_weights(mapped: Tensor, mu: float) -> Tensor:
    """The inverse of `map_weights` for the same mu: mu-law expansion."""
    largest = mapped.double().abs().max()
    share = mapped.double().abs() / largest.clamp_min(1e-300)
    return (mapped.sign() * largest * (share * math.log1p(mu)).expm1() / mu).to(mapped.dtype)


def _is_choice(layers: Any) -> bool:
    if isinstance(layers, int):
        return layers >= 1 and not isinstance(layers, bool)
    names = [layers] if isinstance(layers, str) else layers
    return (
        isinstance(names, (list, tuple))
        and bool(names)
        and all(isinstance(name, str) and name for name in names)
    )
