"""Networks handed over: other numbers than float32, random answers, no patience for no images."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import robench
from robench.base.errors import ConfigError, PluginError
from robench.core.system import FloatDeployed, System, agreement, check_output, forward
from robench.testing.tiny import tiny_data, tiny_network
from robench_attacks.gradient import PGD


class Strict(nn.Module):
    """Raises on no images, as a network whose `view` is told to find out the width."""

    def __init__(self) -> None:
        super().__init__()
        self.network = tiny_network()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.view(images.size(0), -1)


class Noisy(nn.Module):
    """Adds noise to its images, whoever asks."""

    def __init__(self) -> None:
        super().__init__()
        self.network = tiny_network()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images + 0.1 * torch.randn_like(images))
        return logits


def test_no_empty_batch_reaches_a_network() -> None:
    assert forward(Strict(), torch.zeros(0, 1, 8, 8)).shape == (0, 3)
    assert FloatDeployed(Strict()).predict(torch.zeros(0, 1, 8, 8)).shape == (0,)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64, torch.float16])
@pytest.mark.parametrize("compressor", ["none", "ptq"])
def test_a_network_of_other_numbers_is_judged(kind: torch.dtype, compressor: str) -> None:
    network = tiny_network().to(kind)
    given: dict[str, Any] = {"attack": PGD(steps=3), "compressor": compressor}
    record = robench.evaluate(network, tiny_data(), audit="off", **given)
    assert [row.status for row in record.rows] == ["ok"]
    plain = robench.evaluate(tiny_network(), tiny_data(), audit="off", **given)
    for name in ("clean_accuracy", "robust_accuracy"):
        one, other = record.find(name), plain.find(name)
        assert one is not None
        assert other is not None
        assert one.value == pytest.approx(other.value, abs=0.1)


class Mixed(nn.Module):
    """Its weights are float32, its answers are not."""

    def __init__(self, by: str) -> None:
        super().__init__()
        self.network = tiny_network()
        self.by = by

    def forward(self, images: Tensor) -> Tensor:
        if self.by == "autocast":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits: Tensor = self.network(images)
        else:
            logits = self.network(images).to(getattr(torch, self.by))
        return logits


@pytest.mark.parametrize("by", ["autocast", "float16", "float64"])
def test_answers_of_other_numbers_are_judged_though_the_weights_are_float32(by: str) -> None:
    attacks = {"attack": ("pgd", "strongest"), "images": 20}
    record = robench.evaluate(Mixed(by), tiny_data(), audit="off", **attacks)  # type: ignore[arg-type]
    assert [row.status for row in record.rows] == ["ok", "ok"]


def test_a_float32_network_stays_itself_and_others_answer_in_float32() -> None:
    network, shape = tiny_network(), (1, 8, 8)
    assert check_output(lambda: network, shape, 3) is network
    mixed = check_output(lambda: Mixed("autocast"), shape, 3)
    assert mixed(torch.zeros(2, *shape)).dtype == torch.float32


class Scaling(Strict):
    """Halves its images where they lie."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.mul_(0.5))


def test_a_network_that_changes_its_images_is_refused() -> None:
    with pytest.raises(PluginError, match="leaves its images alone, got one that changes them in"):
        robench.evaluate(Scaling(), tiny_data(), audit="off")


def test_integer_answers_are_refused() -> None:
    with pytest.raises(PluginError, match=r"expected floating logits .*, got torch\.int64; return"):
        robench.evaluate(Mixed("int64"), tiny_data(), audit="off")


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.9 has none yet
        return torch.jit.script(tiny_network())  # type: ignore[no-any-return, no-untyped-call]


def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.trace(tiny_network(), torch.zeros(1, 1, 8, 8))  # type: ignore[no-any-return, no-untyped-call]


def packed() -> nn.Module:
    with pytest.warns():
        return torch.ao.quantization.quantize_dynamic(tiny_network(), {nn.Linear})  # type: ignore[no-any-return, no-untyped-call]


def sparse() -> nn.Module:
    network = tiny_network()
    network.register_buffer("mask", torch.eye(3).to_sparse())
    return network


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (scripted, "a RecursiveScriptModule, which torch scripted or traced; give the network"),
        (traced, "a TopLevelTracedModule, which torch scripted or traced; give the network"),
        (packed, r"got '\S*_packed_params\S*' of another kind; give the float network and let"),
        (sparse, "got 'mask' of another kind; give the float network and let"),
    ],
)
def test_a_network_that_its_weights_do_not_make_again_is_one_line(
    make: Callable[[], nn.Module], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = make()
    with pytest.raises(PluginError, match=words):
        robench.evaluate(network, tiny_data(), audit="off")
    with pytest.raises(PluginError, match=words):
        check_output(lambda: network, (1, 8, 8), 3)
    assert capsys.readouterr().err == ""


def test_a_random_network_says_so_and_is_judged_by_many_answers() -> None:
    given = {"attack": PGD(steps=3), "images": 30}
    record = robench.evaluate(Noisy(), tiny_data(), randomised=True, audit="quick", **given)
    assert record.config["model"]["given"]["randomised"] is True
    assert not record.agreement.flagged
    assert record.rows[0].queries > 4 or record.rows[0].gradients > 0  # type: ignore[operator]
    (audit,) = record.audit
    told = [f.verdict for f in audit.findings if f.check == "random_prediction"]
    assert "suspect" not in told
    assert "fail" not in told
    other = robench.evaluate(Noisy(), tiny_data(), audit="off", **given)
    assert other.id != record.id


def test_only_an_own_network_is_said_to_be_random() -> None:
    with pytest.raises(ConfigError, match="own network"):
        robench.evaluate("small_cnn", tiny_data(), randomised=True)


@dataclass(frozen=True, kw_only=True)
class Decoy(robench.Defense):
    """Deploys a twin that computes something else."""

    randomised: bool = False

    def deploy(self, system: Any, context: Any) -> Any:
        """The deployed model stays, the twin is negated."""
        twin = Negated(system.twin)
        return System(Random(system.deployed) if self.randomised else system.deployed, twin)


class Negated(nn.Module):
    def __init__(self, twin: nn.Module) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.twin(images)
        return -logits


class Random:
    """A deployed model that says that it is random."""

    randomised = True

    def __init__(self, deployed: Any) -> None:
        self.predict, self.nbytes, self.save = deployed.predict, deployed.nbytes, deployed.save


@pytest.mark.parametrize("randomised", [False, True])
def test_a_twin_that_a_defense_bends_is_flagged(randomised: bool) -> None:
    given = {"defense": Decoy(randomised=randomised), "attack": "fgsm", "audit": "off"}
    record = robench.evaluate(tiny_network(), tiny_data(), **given)  # type: ignore[arg-type]
    found = record.agreement
    assert found.equal_labels == 1
    assert found.after_deploy is not None
    assert found.after_deploy < 0.2
    assert found.flagged


def test_random_answers_are_compared_where_they_are_sure() -> None:
    network = Noisy()
    found = agreement(System(FloatDeployed(network), network), tiny_data().test, drawn=True)
    assert (found.equal_labels, found.logit_gap, found.flagged) == (1.0, None, False)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()])
def test_a_network_that_gives_no_logits_is_said_in_one_line(last: nn.Module) -> None:
    name = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}[
        type(last).__name__
    ]
    given: dict[str, Any] = {"attack": PGD(steps=1), "audit": "off"}
    plain = robench.evaluate(tiny_network(), tiny_data(), **given)
    ended = robench.evaluate(nn.Sequential(tiny_network(), last), tiny_data(), **given)
    said = f"expected a network that gives logits, got one that ends in a {name}: "
    assert said in " ".join(str(ended).split())
    assert "gives logits" not in str(plain)
