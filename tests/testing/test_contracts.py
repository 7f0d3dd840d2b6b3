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

REAL_DATA = {"mnist", "cifar10", "caltech101"}
FAST: dict[str, dict[str, Any]] = {
    "square": {"queries": 30},
    "art_autoattack": {"steps": 3, "queries": 20},
    "pgd": {"steps": 5},
    "apgd": {"steps": 5},
    "fab": {"steps": 5, "targets": 2},
    "strongest": {"budget": "quick"},
    "cw": {"steps": 10, "search_steps": 2},
    "adversarial_training": {"steps": 2},
    "feedback_learning": {
        "rounds": 1,
        "high_images": 1,
        "medium_images": 2,
        "low_images": 2,
        "directions": 2,
        "gradient_steps": 1,
    },
    "intrs": {"draws": 20, "samples": 2},
    "float_rs": {"draws": 20, "samples": 2},
    "cohen": {"n2": 500},
    "sequential": {"n2": 500},
    "adaptive": {"stages": [100, 500]},
    "certified": {"images": 4},
    "smoothed_prediction": {"images": 4, "draws": [10, 100]},
}
CONTRACTS = {kind: getattr(testing, f"{base.__name__}Contract") for kind, base in KINDS.items()}
NEEDS_OPTION = {"npz", "image_folder", "python", "checkpoint", "file", "robustbench"}
"""They need a file of the user's; their own tests cover them."""
FILES_OWN = {"ort_int8", "openvino_int8", "pt2e_int8", "runtimes"}
"""Toolchains and the metric of files: tests/plugins/files has them, and those of runtimes."""
SMOOTHED = {"attack": "fgsm", "defense": {"float_rs": {"train_sigma": 0}}}
MORE: dict[str, dict[str, Any]] = {
    "certified": {"run": SMOOTHED},
    "smoothed_prediction": {"run": SMOOTHED},
    **{name: {"root": Path(os.environ.get("ROBENCH_DATA", ""))} for name in REAL_DATA},
}
"""What else a contract needs."""
FILES = set() if os.environ.get("ROBENCH_DATA") else REAL_DATA
"""Data sets whose files are not here."""
SLOW = REAL_DATA | {"art_autoattack", "autoattack", "wide_resnet32", "resnet20"}


def _contracts() -> list[Any]:
    found = []
    for kind, choices in registry().choices.items():
        if kind == "runtime":
            continue
        for name, choice in choices.items():
            if choice.distribution != "robench" or name in NEEDS_OPTION | FILES | FILES_OWN:
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


def test_no_builtin_plugin_is_broken() -> None:
    assert registry().broken == []
    known = [choice for choices in registry().choices.values() for choice in choices.values()]
    assert {choice.distribution for choice in known} >= {"robench"}
    assert NEEDS_OPTION | FILES_OWN | FAST.keys() | MORE.keys() <= {choice.name for choice in known}


@pytest.mark.parametrize("name", sorted(NEEDS_OPTION))
def test_components_that_need_an_option_are_documented(name: str) -> None:
    (choice,) = (c[name] for c in registry().choices.values() if name in c)
    contract = type(name, (testing.ComponentContract,), {"component": choice.component})
    contract().test_is_documented()


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
class Untidy(Sound):
    """Ruins the images and the network that it was given, which are its own."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """In place."""
        del rest
        twin.train().requires_grad_(True)
        twin(images).sum().backward()
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
        return images.add_(0.01)


@dataclass(frozen=True, kw_only=True)
class Noisy(Sound):
    """Changes a setting of the process."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """For good, so it thinks."""
        del twin, rest
        torch.set_default_dtype(torch.float64)
        return images + 0.01


@dataclass(frozen=True, kw_only=True)
class Idle(Sound):
    """Searches nothing."""

    def run(self, twin: nn.Module, images: Tensor, *rest: Any) -> Tensor:
        """The clean images."""
        del twin, rest
        return images.clone()


@dataclass(frozen=True, kw_only=True)
class Mumbles(Sound):
    """no sentence"""  # noqa: D415


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
        (Noisy(), "test_leaves_the_process_alone"),
        (Idle(), "test_moves_images"),
        (Mumbles(), "test_is_documented"),
        (Silent(), "test_is_documented"),
    ],
)
def test_broken_attacks_fail_their_contract(
    attack: robench.Attack, test: str, request: pytest.FixtureRequest
) -> None:
    contract = type("Contract", (testing.AttackContract,), {"component": attack})
    with pytest.raises((AssertionError, robench.PluginError)):
        _call(contract, test, request)


@pytest.mark.parametrize("attack", [Sound(), Untidy()])
def test_a_sound_attack_passes(attack: robench.Attack, request: pytest.FixtureRequest) -> None:
    contract = type("Contract", (testing.AttackContract,), {"component": attack})
    for test in [name for name in dir(contract) if name.startswith("test_")]:
        _call(contract, test, request)


def test_invalid_options_must_be_refused() -> None:
    contract = type(
        "Contract", (testing.AttackContract,), {"component": Sound(), "invalid": ({"eps": 0.1},)}
    )
    with pytest.raises(pytest.fail.Exception):
        contract().test_refuses_invalid_options()


class FlippedTwin(nn.Module):
    """Another function than the network it stands for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """The classes in another order."""
        return self.model(images).flip(1)


@dataclass(frozen=True, kw_only=True)
class WrongTwin(robench.Compressor):
    """Hands over a twin of another function."""

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """A float network and its flipped twin."""
        del data
        return robench.System(robench.FloatDeployed(model), FlippedTwin(model))


@dataclass(frozen=True, kw_only=True)
class EmptyFiles(robench.Compressor):
    """Ships a file of nothing."""

    def finish(self, model: nn.Module, data: robench.Data) -> robench.System:
        """A float network that saves no byte."""
        del data
        deployed = robench.FloatDeployed(model)
        deployed.save = lambda folder: (folder / "model").touch()  # type: ignore[method-assign]
        return robench.System(deployed, model)


@dataclass(frozen=True, kw_only=True)
class MapsToNaN(robench.Defense):
    """Maps all weights to NaN."""

    def transform(self, model: nn.Module) -> nn.Module:
        """A network of NaN."""
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(float("nan"))
        return model


@dataclass(frozen=True, kw_only=True)
class Forgets(robench.Defense):
    """Names its weights without an option that decides them."""

    scale: float = 1.0

    def as_trained(self) -> Forgets:
        """The default, whatever the scale."""
        return Forgets()

    def loss(self, model: Any, images: Any, labels: Any, rng: Any) -> Any:
        """Cross-entropy of scaled images."""
        del rng
        return nn.functional.cross_entropy(model(images * self.scale), labels)


@pytest.mark.parametrize(
    ("component", "base", "test"),
    [
        (
            Forgets(scale=0.5),
            testing.DefenseContract,
            "test_options_that_name_no_weights_train_nothing",
        ),
        (WrongTwin(), testing.CompressorContract, "test_deployed_and_twin_agree"),
        (WrongTwin(), testing.CompressorContract, "test_runs_from_training_to_record"),
        (EmptyFiles(), testing.CompressorContract, "test_ships_files"),
        (MapsToNaN(), testing.DefenseContract, "test_transform_keeps_the_shape_of_the_output"),
    ],
)
def test_broken_components_fail_their_contract(
    component: Any, base: type, test: str, request: pytest.FixtureRequest
) -> None:
    contract = type("Contract", (base,), {"component": component})
    with pytest.raises(AssertionError):
        _call(contract, test, request)
