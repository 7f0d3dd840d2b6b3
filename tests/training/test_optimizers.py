"""Torch's optimisers without their marks for torch.compile: the same bits, and no torch._dynamo."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from robench.training import optimizers
from robench.training.optimizers import make_optimizer, unmarked
from robench.training.recipe import Recipe
from tests.conftest import tiny_net

CHOICES = {
    "adam": (torch.optim.Adam, {}),
    "adam_decayed": (torch.optim.Adam, {"weight_decay": 0.01}),
    "sgd": (torch.optim.SGD, {"momentum": 0.0}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
}


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        model(torch.rand(8, 1, 6, 6, generator=rng)).square().sum().backward()
        optimizer.step()


def fresh() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tiny_net().to(memory_format=torch.channels_last)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    return bool(first == second)


@pytest.mark.parametrize("name", CHOICES)
def test_weights_and_state_are_torchs_also_when_resumed(name: str) -> None:
    cls, options = CHOICES[name]
    recipe = Recipe(optimizer="adam" if cls is torch.optim.Adam else "sgd", lr=0.01, **options)
    theirs, ours, resumed = fresh(), fresh(), fresh()
    plain = cls(theirs.parameters(), lr=0.01, **options)
    optimizer = make_optimizer(ours, recipe)
    assert isinstance(optimizer, cls)
    steps(theirs, plain, 0)
    steps(ours, optimizer, 0)
    assert same(optimizer.state_dict(), plain.state_dict())
    resumed.load_state_dict(theirs.state_dict())
    again = make_optimizer(resumed, recipe)
    again.load_state_dict(deepcopy(plain.state_dict()))
    for model, used in ((theirs, plain), (ours, optimizer), (resumed, again)):
        steps(model, used, 1)
    assert same(theirs.state_dict(), ours.state_dict())
    assert same(theirs.state_dict(), resumed.state_dict())


def test_frozen_parameters_are_left_out() -> None:
    model = fresh()
    model.get_parameter("0.weight").requires_grad_(False)
    (group,) = make_optimizer(model, Recipe()).param_groups
    assert len(group["params"]) == len(list(model.parameters())) - 1


def test_a_step_leaves_no_graph_behind() -> None:
    model = fresh()
    steps(model, make_optimizer(model, Recipe()), 0)
    assert torch.is_grad_enabled()
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())


def test_a_method_that_torch_decorates_otherwise_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "MARKER", "elsewhere")
    plain: Callable[..., Any] = unmarked.__wrapped__(torch.optim.Adam)
    for name in optimizers.MARKED:
        assert getattr(plain, name) is getattr(torch.optim.Adam, name)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_does_not_import_the_compiler(optimizer: str) -> None:
    script = (
        "import sys, torch\nfrom robench.training.optimizers import make_optimizer\n"
        "from robench.training.recipe import Recipe\n"
        "model = torch.nn.Linear(2, 2)\n"
        f"used = make_optimizer(model, Recipe(optimizer={optimizer!r}))\n"
        "used.zero_grad()\nmodel(torch.ones(1, 2)).sum().backward()\nused.step()\n"
        "used.load_state_dict(used.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
