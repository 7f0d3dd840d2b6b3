"""The contract of each kind of component, as test classes for plugin authors.

    from robench.testing import AttackContract

    class TestMyAttack(AttackContract):
        component = MyAttack(steps=3)
        invalid = ({"steps": 0},)

pytest collects the subclass and runs every test of the contract on `component`. robench's own
components run through the same classes.
"""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from robench.api import evaluate
from robench.components import (
    Attack,
    Check,
    Component,
    Compressor,
    Dataset,
    Defense,
    DeployContext,
    Metric,
    Model,
)
from robench.config import plain_options
from robench.data import Data, Split
from robench.digest import canonical
from robench.errors import ConfigError, DataError
from robench.options import options, summary
from robench.recipe import TrainConfig
from robench.record import Finding, Value
from robench.seeds import generator, seed_scope
from robench.system import ABSTAIN, FloatDeployed, System
from robench.threat import Threat, UsualThreat
from robench.weights import load_weights, save_weights

if TYPE_CHECKING:
    from robench.record import Record

EPS = {"linf": 0.2, "l2": 1.0}
SHORT = TrainConfig(epochs=1)


def tiny_data() -> Data:
    """Three classes of grey 8x8 images with one bright bar each: 120 to train on, 60 to test."""
    usual = UsualThreat({"linf": (0.05, 0.1, 0.2), "l2": (0.25, 0.5, 1.0)}, 0.2)
    return Data(_bars(120, 0), _bars(60, 1), ("top", "middle", "bottom"), usual)


def _bars(count: int, seed: int) -> Split:
    labels = torch.arange(count) % 3
    images = 40 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) + 60
    for label in range(3):
        images[labels == label, 0, 3 * label] += 90
    return Split(images.round().to(torch.uint8), labels)


def tiny_network() -> nn.Module:
    """A small network, trained on `tiny_data` to high accuracy, in eval mode."""
    return deepcopy(_trained())


@cache
def _trained() -> nn.Module:
    return _train(_untrained())


def _untrained() -> nn.Module:
    with seed_scope(0):
        layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)]
        return nn.Sequential(*layers)


def _train(model: nn.Module) -> nn.Module:
    train = tiny_data().train
    optimizer = torch.optim.Adam(model.train().parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(train.float_images()), train.labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    return model.eval()


class ComponentContract:
    """What every component keeps: plain, documented, checked options."""

    component: ClassVar[Any]
    """The component that is tested."""
    invalid: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Options that it must refuse with ConfigError."""

    def test_is_a_frozen_dataclass(self) -> None:
        """Its options cannot change behind a cache key."""
        assert isinstance(self.component, Component)
        for option in dataclasses.fields(self.component):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(self.component, option.name, None)

    def test_options_are_plain_and_make_an_equal_component(self) -> None:
        """They are JSON, so that records and cache keys need no pickle."""
        canonical(plain_options(self.component))
        assert dataclasses.replace(self.component) == self.component

    def test_is_documented(self) -> None:
        """The class has a sentence, and each option a help text below its field."""
        assert summary(self.component), "expected a docstring on the class, got none"
        for option in options(self.component):
            assert option.help, f"expected a string below the field {option.name!r}, got none"

    def test_repr_names_every_option(self) -> None:
        """A component prints as what would make it again."""
        text = repr(self.component)
        assert type(self.component).__name__ in text
        for option in dataclasses.fields(self.component):
            assert not option.repr or f"{option.name}=" in text, f"expected {option.name} in {text}"

    def test_refuses_invalid_options(self) -> None:
        """Each of `invalid` ends in a ConfigError that says what was expected."""
        for given in self.invalid:
            with pytest.raises(ConfigError, match="expected"):
                dataclasses.replace(self.component, **given)


class DatasetContract(ComponentContract):
    """A data set: the same 8-bit images each time it is read."""

    component: ClassVar[Dataset]
    root: ClassVar[Path] = Path("data")
    """Where its files lie."""

    def test_loads_the_same_data_twice(self) -> None:
        """Content hash, classes and the usual threat; skipped where its files are missing."""
        try:
            first, second = self.component.load(self.root), self.component.load(self.root)
        except DataError as error:
            pytest.skip(f"its files are not here: {error}")
        assert first.hash == second.hash
        assert len(first.classes) > 1
        assert first.threat.eps(first.threat.norm) > 0


class ModelContract(ComponentContract):
    """An architecture: finite logits with gradients, the same weights for the same seed."""

    component: ClassVar[Model]
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)

    def _build(self, seed: int = 0) -> nn.Module:
        with seed_scope(seed):
            return self.component.build(self.shape, 7).eval()

    def test_gives_logits_with_gradients(self) -> None:
        """Shape (N, classes), finite, and the gradient reaches the images."""
        images = torch.rand(3, *self.shape, generator=generator(1)).requires_grad_()
        logits = self._build()(images)
        assert logits.shape == (3, 7), f"expected logits of shape (3, 7), got {logits.shape}"
        assert bool(torch.isfinite(logits).all())
        _check_gradient(logits, images)

    def test_weights_follow_the_seed(self) -> None:
        """Random weights come from torch's global generator alone."""
        first, second = self._build().state_dict(), self._build().state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_weights_are_saved_without_pickle(self, tmp_path: Path) -> None:
        """They go to safetensors and back."""
        model = self._build()
        save_weights(model, tmp_path / "model.safetensors")
        again = load_weights(self._build(seed=1), tmp_path / "model.safetensors")
        state = model.state_dict()
        assert all(torch.equal(state[k], value) for k, value in again.state_dict().items())


class DefenseContract(ComponentContract):
    """A defense: trains, maps weights or wraps a system without breaking the twin contract."""

    component: ClassVar[Defense]

    def test_loss_is_a_finite_scalar_with_gradients(self) -> None:
        """For a seed the same one."""
        train, losses = tiny_data().train.take(torch.arange(12)), []
        for _ in range(2):
            model = tiny_network().train()
            with seed_scope(0):
                loss = self.component.loss(model, train.float_images(), train.labels, generator(3))
            assert loss.shape == (), f"expected a scalar loss, got shape {tuple(loss.shape)}"
            assert bool(torch.isfinite(loss))
            loss.backward()
            assert any(p.grad is not None for p in model.parameters()), "expected gradients"
            losses.append(float(loss.detach()))
        assert losses[0] == losses[1], f"expected one loss for one seed, got {losses}"

    def test_transform_keeps_the_shape_of_the_output(self) -> None:
        """And leaves finite logits."""
        images = tiny_data().test.float_images()
        model = self.component.transform(tiny_network()).eval()
        with torch.no_grad():
            logits = model(images)
        assert logits.shape == (len(images), 3)
        assert bool(torch.isfinite(logits).all())

    def test_deploy_wraps_system_and_twin_alike(self) -> None:
        """Labels as the system contract says, and gradients through the twin."""
        model, data = tiny_network(), tiny_data()
        system = System(FloatDeployed(model), model)
        with seed_scope(0):
            _check_system(self.component.deploy(system, DeployContext(data, 0)), data)

    def test_runs_from_training_to_record(self) -> None:
        """The whole pipeline accepts it."""
        record = evaluate(
            "small_cnn", tiny_data(), defense=self.component, train=SHORT, attack=(), audit="off"
        )
        assert record.find("clean_accuracy") is not None


class CompressorContract(ComponentContract):
    """A compressor: a deployed model, and a twin that computes the same function."""

    component: ClassVar[Compressor]

    def _finish(self) -> System:
        data = tiny_data()
        with seed_scope(0):
            model = _train(self.component.prepare(_untrained(), data.shape))
            # As the pipeline hands it over; a flat view of such weights fails.
            model.to(memory_format=torch.channels_last)
            return self.component.finish(model, data)

    def test_deployed_and_twin_agree(self) -> None:
        """On 95 % of the labels at least; the twin has gradients."""
        data, system = tiny_data(), self._finish()
        labels = _check_system(system, data)
        with torch.no_grad():
            twin = system.twin.eval()(data.test.float_images()).argmax(1)
        agree = float((labels == twin).double().mean())
        assert agree >= 0.95, f"expected twin and deployed to agree on 95 %, got {agree:.0%}"

    def test_the_same_model_each_time(self) -> None:
        """Compression draws no random numbers of its own."""
        images = tiny_data().test.float_images()
        first, second = (self._finish().deployed.predict(images) for _ in range(2))
        assert torch.equal(first, second)

    def test_ships_files(self, tmp_path: Path) -> None:
        """`save` writes them and `nbytes` counts more than nothing."""
        deployed = self._finish().deployed
        deployed.save(tmp_path)
        assert [path for path in tmp_path.rglob("*") if path.is_file()], "expected files from save"
        assert deployed.nbytes() > 0


class AttackContract(ComponentContract):
    """An attack: finite candidates of the images' shape, the same ones for the same seed."""

    component: ClassVar[Attack]

    def _run(self, model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
        eps = None if self.component.search == "minimal" else EPS[norm]
        with seed_scope(5):
            return self.component.run(model, images, labels, Threat(norm, eps), generator(7))

    def test_finds_the_same_finite_candidates(self) -> None:
        """In each norm it names; images, weights and gradients stay as they were."""
        model, test = tiny_network(), tiny_data().test.take(torch.arange(12))
        images, weights = test.float_images(), deepcopy(model.state_dict())
        for norm in self.component.norms:
            first, second = (self._run(model, images, test.labels, norm) for _ in range(2))
            assert first.shape == images.shape, f"expected {images.shape}, got {first.shape}"
            assert bool(torch.isfinite(first).all()), "expected finite candidates"
            assert torch.equal(first, second), "expected the same candidates for the same seed"
        assert torch.equal(images, test.float_images()), "expected the images to stay as they were"
        for name, value in model.state_dict().items():
            assert torch.equal(value, weights[name]), f"expected {name} to stay as it was"
        assert all(p.grad is None for p in model.parameters()), "expected no gradients left behind"

    def test_is_judged_inside_the_threat(self) -> None:
        """The core accepts its candidates; a row that is invalid fails here."""
        record = evaluate(
            tiny_network(), tiny_data(), attack=self.component, images=30, audit="off"
        )
        assert [row.message for row in record.rows if row.status == "invalid"] == []


class MetricContract(ComponentContract):
    """A metric: values with intervals around them, the same ones for the same run."""

    component: ClassVar[Metric]
    run: ClassVar[dict[str, Any]] = {"attack": "fgsm"}
    """What else the measured run has: arguments of `robench.evaluate`."""

    def _record(self) -> Record:
        given: dict[str, Any] = {"metric": self.component, "images": 30, "audit": "off", **self.run}
        return evaluate(tiny_network(), tiny_data(), **given)

    def test_values_lie_in_their_intervals(self) -> None:
        """And there is at least one."""
        record = self._record()
        assert record.values, "expected at least one value, got none"
        for value in record.values:
            ends = [v for v in (value.low, value.value, value.high) if v is not None]
            assert ends == sorted(ends), f"expected low <= value <= high, got {value}"

    def test_values_repeat(self) -> None:
        """Unless they are timings."""
        if self.component.timed:
            pytest.skip("timings differ")
        first, second = self._record().values, self._record().values
        assert _plain(first) == _plain(second)


class CheckContract(ComponentContract):
    """A check of the audit: findings in sentences, the same ones for the same system."""

    component: ClassVar[Check]

    def _look(self) -> list[Finding]:
        from robench.audit.trial import Trial

        model, test = tiny_network(), tiny_data().test.take(torch.arange(30))
        system, threat = System(FloatDeployed(model), model), Threat("linf", EPS["linf"])
        with seed_scope(0):
            trial = Trial(system, test.float_images(), test.labels, threat, 0, {})
            return list(self.component.look(trial))

    def test_finds_in_sentences(self) -> None:
        """Each finding says in words what its number means."""
        for finding in self._look():
            assert finding.sentence.endswith("."), f"expected a sentence, got {finding.sentence!r}"

    def test_findings_repeat(self) -> None:
        """For the same system and seed."""
        assert self._look() == self._look()


def _plain(values: tuple[Value, ...]) -> list[dict[str, Any]]:
    return [value.model_dump() for value in values]


def _check_system(system: System, data: Data) -> Tensor:
    images = data.test.float_images()
    labels = system.deployed.predict(images)
    assert labels.dtype == torch.int64, f"expected int64 labels, got {labels.dtype}"
    assert labels.shape == data.test.labels.shape
    assert bool(((labels >= ABSTAIN) & (labels < len(data.classes))).all())
    leaf = images[:8].clone().requires_grad_()
    _check_gradient(system.twin.eval()(leaf), leaf)
    return labels


def _check_gradient(logits: Tensor, images: Tensor) -> None:
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert bool(torch.isfinite(gradient).all()), "expected finite gradients"
    assert float(gradient.abs().sum()) > 0, "expected gradients that reach the images, got zero"
