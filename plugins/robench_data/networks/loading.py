"""Loading of weights into a network, all of them or all but the head."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from robench import UserError


def load_all(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load every tensor; raises UserError unless names, shapes and kinds agree and all is finite.

    Floats may be of another precision, never integers: they are not these weights.
    """
    own = network.state_dict()
    names = sorted(set(own) ^ set(state))
    shapes = sorted(name for name in set(own) & set(state) if own[name].shape != state[name].shape)
    if names or shapes:
        raise UserError(
            f"expected the weights of this architecture and number of classes in {source}, got "
            f"others at {', '.join((names + shapes)[:3])} and {max(len(names + shapes) - 3, 0)} "
            "more; choose the architecture that they were trained with"
        )
    for name, tensor in state.items():
        if _kind(tensor) != _kind(own[name]):
            raise UserError(
                f"expected {own[name].dtype} as {name} in {source}, got {tensor.dtype}; save the "
                "trained network's state_dict"
            )
        if not tensor.to(own[name].dtype).isfinite().all():
            raise UserError(
                f"expected finite numbers as {name} in {source}, got NaN or infinity; train again"
            )
    network.load_state_dict(dict(state))


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def load_body(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load all but the head, the one layer whose size follows the number of classes.

    Raises UserError when more differs.
    """
    state = {_today(name): tensor for name, tensor in state.items()}
    own = network.state_dict()
    head = {k for k, v in own.items() if k in state and state[k].shape != v.shape}
    if len({name.rpartition(".")[0] for name in head}) > 1:
        head = set()
    load_all(network, {**state, **{name: own[name] for name in head}}, source)


def _today(name: str) -> str:
    """Densenet's published files name layers as torch once did: norm.1 for norm1."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)
