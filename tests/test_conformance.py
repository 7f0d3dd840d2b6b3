"""Every registered component keeps its kind's contract: a matrix over what is installed."""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from robench.base.errors import ConfigError
from robench.base.hashing import canonical
from robench.core.system import System
from robench.core.threat import Threat
from robench.plugin.components import Attack, Compressor, Defense
from robench.plugin.options import options, summary
from robench.plugin.registry import Choice, registry
from robench.run.config import AuditConfig, RunConfig
from robench.run.pipeline import run
from robench.training.recipe import TrainConfig

CHOICES = [choice for kind in registry().choices.values() for choice in kind.values()]


def of(kind: str) -> list[Any]:
    """Parameters for every choice of a kind, named by the choice."""
    return [pytest.param(c, id=c.name) for c in CHOICES if c.kind == kind]


def made(choice: Choice) -> Any:
    """The component with its defaults; the few that need an option to exist are skipped."""
    try:
        return choice.make()
    except ConfigError as error:
        pytest.skip(f"needs an option: {error}")


def test_no_builtin_plugin_is_broken() -> None:
    assert registry().broken == []
    assert {c.distribution for c in CHOICES} >= {"robench"}


@pytest.mark.parametrize("choice", [pytest.param(c, id=f"{c.kind}.{c.name}") for c in CHOICES])
def test_every_option_has_a_help_text_and_a_plain_default(choice: Choice) -> None:
    assert summary(choice.component).endswith((".", ":", "bound."))
    for option in options(choice.component):
        assert option.help, f"{choice.kind}.{choice.name}.{option.name} has no help below its field"
    component = made(choice)
    canonical(dataclasses.asdict(component))
    assert dataclasses.replace(component) == component
    assert type(component).__name__ in repr(component)


FAST: dict[str, dict[str, Any]] = {
    "square": {"queries": 30},
    "art_autoattack": {"steps": 3, "queries": 20},
    "pgd": {"steps": 5},
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
}


@pytest.mark.parametrize("choice", of("attack"))
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks(choice: Choice, norm: str, trained_net: nn.Module, tiny_data: Any) -> None:
    attack: Attack = choice.make(**FAST.get(choice.name, {}))  # type: ignore[assignment]
    if norm not in attack.norms:
        pytest.skip(f"{choice.name} does not work in {norm}")
    images, labels = tiny_data.test.float_images()[:12], tiny_data.test.labels[:12]
    eps = {"ball": 0.2 if norm == "linf" else 1.0, "noise": 0.2, "minimal": None}[attack.search]
    before = {name: t.clone() for name, t in trained_net.state_dict().items()}

    def once() -> torch.Tensor:
        rng = torch.Generator().manual_seed(7)
        return attack.run(trained_net, images.clone(), labels, Threat(norm, eps), rng)

    from robench.base.seeds import seed_scope

    with seed_scope(3):
        found = once()
    with seed_scope(3):
        again = once()
    assert found.shape == images.shape
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close(found, again, atol=0, rtol=0)
    assert all(torch.equal(t, before[n]) for n, t in trained_net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in trained_net.parameters())
    assert not bool(torch.equal(found, images))


@pytest.mark.parametrize("choice", of("model"))
def test_models(choice: Choice) -> None:
    if choice.cls.pretrained:  # type: ignore[attr-defined]
        pytest.skip("loads a trained network")
    model = made(choice)
    shape = (3, 32, 32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = model.build(shape, 7).eval()
        torch.manual_seed(0)
        twin = model.build(shape, 7).eval()
    images = torch.rand(3, *shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    logits = net(images)
    assert logits.shape == (3, 7)
    torch.testing.assert_close(logits, twin(images), atol=0, rtol=0)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert float(gradient.abs().sum()) > 0
    state = net.state_dict()
    assert all(isinstance(t, torch.Tensor) for t in state.values())


def prepared(compressor: Compressor, net: nn.Module, data: Any) -> nn.Module:
    """A trained network as training leaves it: observers have seen the images."""
    model = compressor.prepare(deepcopy(net), data.shape).train()
    with torch.no_grad():
        model(data.train.float_images())
    return model.eval()


@pytest.mark.parametrize("choice", of("compressor"))
def test_compressors(choice: Choice, trained_net: nn.Module, tiny_data: Any) -> None:
    compressor: Compressor = made(choice)
    images = tiny_data.test.float_images()
    system: System = compressor.finish(prepared(compressor, trained_net, tiny_data), tiny_data)
    labels = system.deployed.predict(images)
    assert labels.dtype == torch.int64
    assert labels.shape == tiny_data.test.labels.shape
    twin = system.twin.eval()
    leaf = images.clone().requires_grad_()
    logits = twin(leaf)
    agree = (logits.argmax(1) == labels).float().mean()
    assert agree >= 0.95
    (gradient,) = torch.autograd.grad(logits.sum(), leaf)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.abs().sum()) > 0
    assert system.deployed.nbytes() > 0


def test_compressors_save_what_ships(trained_net: nn.Module, tiny_data: Any, tmp_path: Any) -> None:
    for choice in registry().choices["compressor"].values():
        compressor: Compressor = choice.make()  # type: ignore[assignment]
        folder = tmp_path / choice.name
        folder.mkdir()
        model = prepared(compressor, trained_net, tiny_data)
        compressor.finish(model, tiny_data).deployed.save(folder)
        assert [p for p in folder.iterdir() if p.stat().st_size > 0], choice.name


@pytest.mark.parametrize("choice", of("defense"))
@pytest.mark.parametrize("compressor", of("compressor"))
def test_every_defense_composes_with_every_compressor(
    choice: Choice, compressor: Choice, places: Any
) -> None:
    """A short run on the embedded data: trains, compresses, attacks, judges, measures."""
    known = registry()
    defense: Defense = choice.make(**FAST.get(choice.name, {}))  # type: ignore[assignment]
    parts: dict[str, Any] = {
        "dataset": {"digits": known.get("dataset", "digits").make()},
        "model": {"small_cnn": known.get("model", "small_cnn").make()},
        "compressor": {compressor.name: made(compressor)},
        "defense": {choice.name: defense},
        "attack": {"fgsm": known.get("attack", "fgsm").make()},
        "metric": {"accuracy": known.get("metric", "accuracy").make()},
        "train": TrainConfig(epochs=2),
        "images": 40,
        "audit": AuditConfig(level="off"),
    }
    maps = type(defense).transform is not Defense.transform
    if maps and parts["compressor"][compressor.name].trains_with:
        with pytest.raises(ConfigError, match="weight map"):
            RunConfig(**parts)
        return
    config = RunConfig(**parts)
    record, folder = run(config, places)
    assert (folder / "record.json").exists()
    assert record.find("clean_accuracy") is not None
    assert all(row.status in ("ok", "at_chance") for row in record.rows)
    assert record.agreement.equal_labels >= 0.9
