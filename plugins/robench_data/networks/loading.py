"""Loading of weights into a network, all of them or all but the head."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from robench import UserError


def load_all(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load every tensor; raises UserError unless names and shapes agree."""
    own = network.state_dict()
    names = sorted(set(own) ^ set(state))
    shapes = sorted(name for name in set(own) & set(state) if own[name].shape != state[name].shape)
    if names or shapes:
        raise UserError(
            f"expected the weights of this architecture and number of classes in {source}, got "
            f"others at {', '.join((names + shapes)[:3])} and {max(len(names + shapes) - 3, 0)} "
            "more; choose the architecture that they were trained with"
        )
    network.load_state_dict(dict(state))


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
