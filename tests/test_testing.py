"""The contracts that plugin authors get: robench's own components keep them, broken ones do not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robench
from robench import testing
from robench.plugin.components import KINDS
from robench.plugin.registry import registry
from robench.training.recipe import TrainConfig

REAL_DATA = {"mnist", "cifar10", "caltech101"}
FAST: dict[str, dict[str, Any]] = {
    "square": {"queries": 30},
    "art_autoattack": {"steps": 3, "queries": 20},
    "pgd": {"steps": 5},
    "cw": {"steps": 10, "search_steps": 2},
    "certified": {"images": 4},
    "smoothed_prediction": {"images": 4, "draws": [10, 100]},
}
CONTRACTS = {kind: getattr(testing, f"{base.__name__}Contract") for kind, base in KINDS.items()}
NEEDS_OPTION = {"npz", "image_folder", "python", "checkpoint", "torchvision"}
"""They need a file of the user's, or weights; their own tests cover them."""
SMOOTHED = {"attack": "fgsm", "defense": "float_rs", "train": TrainConfig(epochs=1)}
MORE: dict[str, dict[str, Any]] = {
    "certified": {"run": SMOOTHED},
    "smoothed_prediction": {"run": SMOOTHED},
    **{name: {"root": Path(os.environ.get("ROBENCH_DATA", ""))} for name in REAL_DATA},
}
"""What else a contract needs."""
FILES = set() if os.environ.get("ROBENCH_DATA") else REAL_DATA
"""Data sets whose files are not here."""
SLOW = REAL_DATA | {"feedback_learning", "art_autoattack", "wide_resnet32", "resnet20"}


def _contracts() -> list[Any]:
    found = []
    for kind, choices in registry().choices.items():
        for name, choice in choices.items():
            if choice.distribution != "robench" or name in NEEDS_OPTION | FILES:
                continue
            component = choice.make(**FAST.get(name, {}))
            contract = type(
                name,
                (CONTRACTS[kind],),
                {"component": component, "root": Path("/none")} | MORE.get(name, {}),
            )
            for test in sorted(t for t in dir(contract) if t.startswith("test_")):
                marks = [pytest.mark.slow] if name in SLOW else []
                found.append(pytest.param(contract, test, id=f"{kind}.{name}.{test}", marks=marks))
    return found


@pytest.mark.parametrize(("contract", "test"), _contracts())
def test_own_components_keep_their_contracts(
    contract: type, test: str, request: pytest.FixtureRequest
) -> None:
    _call(contract, test, request)


def _call(contract: type, test: str, request: pytest.FixtureRequest) -> None:
    method: Callable[..., None] = getattr(contract(), test)
    wants = method.__code__.co_varnames[1 : method.__code__.co_argcount]
    method(**{name: request.getfixturevalue(name) for name in wants})


@dataclass(frozen=True, kw_only=True)
class Sound(robench.Attack):
    """Adds a constant."""

    def run(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: robench.Threat,
        rng: torch.Generator,
    ) -> Tensor:
        """Brighter images."""
        del twin, labels, threat, rng
        return images + 0.01


@dataclass(frozen=True, kw_only=True)
class Careless(Sound):
    """Draws from the wall clock, so to say."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """New noise each time."""
        del twin, rest
        noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(id(object())))
        return images + noise + torch.rand((), generator=_fresh())


def _fresh() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator


@dataclass(frozen=True, kw_only=True)
class Broken(Sound):
    """Returns no numbers."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """NaN."""
        del twin, rest
        return images * float("nan")


@dataclass(frozen=True, kw_only=True)
class Spoils(Sound):
    """Changes the images that it was given."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """In place."""
        del twin, rest
        return images.add_(0.01)


@dataclass(frozen=True, kw_only=True)
class Leaves(Sound):
    """Leaves gradients in the model."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """Backward through the weights."""
        del rest
        twin(images).sum().backward()
        return images + 0.01


@dataclass(frozen=True, kw_only=True)
class Silent(Sound):
    """Has an option without a help text."""

    secret: int = 1


@pytest.mark.parametrize(
    ("attack", "test"),
    [
        (Careless(), "test_finds_the_same_finite_candidates"),
        (Broken(), "test_finds_the_same_finite_candidates"),
        (Broken(), "test_is_judged_inside_the_threat"),
        (Spoils(), "test_finds_the_same_finite_candidates"),
        (Leaves(), "test_finds_the_same_finite_candidates"),
        (Silent(), "test_is_documented"),
    ],
)
def test_broken_attacks_fail_their_contract(attack: robench.Attack, test: str) -> None:
    contract = type("Contract", (testing.AttackContract,), {"component": attack})
    with pytest.raises(AssertionError):
        getattr(contract(), test)()


def test_a_sound_attack_passes() -> None:
    contract = type("Contract", (testing.AttackContract,), {"component": Sound()})()
    for test in [name for name in dir(contract) if name.startswith("test_")]:
        getattr(contract, test)()


def test_invalid_options_must_be_refused() -> None:
    contract = type(
        "Contract", (testing.AttackContract,), {"component": Sound(), "invalid": ({"eps": 0.1},)}
    )
    with pytest.raises(pytest.fail.Exception):
        contract().test_refuses_invalid_options()
