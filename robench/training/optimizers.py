"""Torch's own optimisers, minus the marks for torch.compile.

Each marked method imports torch._dynamo when first called, two seconds at the start of every
training, to tell a compiler that never runs here to leave the method alone. The arithmetic is
torch's: the same weights, bit for bit, and the same saved state.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn

    from robench.training.recipe import Recipe

MARKED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
MARKER = "torch._compile"
"""The module whose decorator marks a method."""


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser of a model's trainable parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "adam":
        adam = unmarked(torch.optim.Adam)
        return adam(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    sgd = unmarked(torch.optim.SGD)
    return sgd(
        parameters,
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )


@cache
def unmarked(cls: Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """An optimiser class whose methods do not know of torch.compile; a method that this version
    of torch decorates otherwise stays as it is."""
    assert isinstance(cls, type)
    methods: dict[str, Any] = {name: _plain(getattr(cls, name)) for name in MARKED}
    # What torch wraps around `step` turns gradients off, and imports torch._dynamo as well.
    methods["step"] = torch.no_grad()(inspect.unwrap(cls.step))  # type: ignore[attr-defined]
    return type(cls.__name__, (cls,), methods)


def _plain(method: Any) -> Any:
    # functools.wraps leaves a wrapper its own globals.
    marked = getattr(method, "__globals__", {}).get("__name__") == MARKER
    return getattr(method, "__wrapped__", method) if marked else method
