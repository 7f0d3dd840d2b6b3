"""The contract of defenses."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from robench.audit.judge import target
from robench.base.errors import ConfigError
from robench.base.seeds import generator, seed_scope
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.plugin import guest
from robench.plugin.components import Attack, Compressor, Defense, DeployContext
from robench.plugin.registry import registry
from robench.plugin.typed import check_options
from robench.run.config import Places
from robench.testing.component import ComponentContract
from robench.testing.systems import check_run, check_system, check_training, trained
from robench.testing.tiny import tiny_data, tiny_network

TOOLCHAIN, PACKAGES = "ort_int8", ("onnx", "onnxruntime", "onnxscript")
"""The foreign toolchain whose files are wrapped, and what it needs."""


def _installed() -> bool:
    """Whether the toolchain's packages are here."""
    return all(find_spec(package) for package in PACKAGES)


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
            check_system(self.component.deploy(system, DeployContext(data, 0)), data)

    def test_brings_an_attack_against_itself_or_none(self) -> None:
        """Where it brings one, its candidates are finite and of the images' shape."""
        model, data, threat = tiny_network(), tiny_data(), Threat("linf", 0.2)
        context = DeployContext(data, 0)
        with seed_scope(0):
            mapped = self.component.transform(model).eval()
            system = self.component.deploy(System(FloatDeployed(mapped), mapped), context)
            attack = self.component.adaptive(system, threat)
            if attack is None:
                return
            assert isinstance(attack, Attack), f"expected an Attack or None, got {type(attack)}"
            check_options(attack)
            test = data.test.take(torch.arange(6))
            twin = guest.own_twin(system)
            word = target(twin, system.deployed, system.deployed.randomised)
            guest.search(attack, word, test.float_images(), test.labels, threat, generator(7))

    def test_training_does_not_depend_on_what_came_before(self) -> None:
        """With and without it, in both orders, in one cache."""
        check_training(defense=self.component)

    def test_options_that_name_no_weights_train_nothing(self, tmp_path: Path) -> None:
        """`as_trained` leaves out only options that act after training."""
        kept = self.component.as_trained()
        if kept != self.component:
            own, other = (Places(cache=tmp_path / name) for name in ("own", "other"))
            assert trained(own, defense=self.component) == trained(other, defense=kept), (
                f"expected the weights of {kept}, which names them, got others"
            )

    def test_runs_with_every_compressor(self) -> None:
        """The whole pipeline accepts it, with each compressor that is installed.

        A defense that maps weights is refused where quantization is part of the training. Of
        foreign toolchains TOOLCHAIN is tried, where its packages are here, on defenses that wrap:
        to others a file is a finished system like any.
        """
        maps = type(self.component).transform is not Defense.transform
        wraps = type(self.component).deploy is not Defense.deploy
        for choice in registry().choices["compressor"].values():
            compressor = choice.make()
            assert isinstance(compressor, Compressor)
            if compressor.makes_file and not (wraps and choice.name == TOOLCHAIN and _installed()):
                continue
            if maps and compressor.changes_training:
                with pytest.raises(ConfigError, match="weight map"):
                    check_run(defense=self.component, compressor=compressor)
            else:
                check_run(defense=self.component, compressor=compressor)
