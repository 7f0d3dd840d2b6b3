"""What strangers tried on the cache and on the judge, each found once and mended."""

from __future__ import annotations

import itertools
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import robench
from robench.audit.checks.examples import PlantedExamples
from robench.audit.trial import SystemTrial
from robench.plugin.content import network_digest
from robench.plugin.source import Unreadable, installed_or_python
from robench.run import keys
from robench.run.config import Places
from tests.conftest import USUAL, tiny_net


@dataclass(frozen=True, kw_only=True)
class InPlace(robench.Attack):
    """Changes the images that it was given, far out of the ball."""

    def run(self, twin: Any, images: Tensor, labels: Tensor, threat: Any, rng: Any) -> Tensor:
        images.copy_(1 - images)
        labels.fill_(0)
        return images


@dataclass(frozen=True, kw_only=True)
class Raises(robench.Metric):
    """A metric that fails."""

    def measure(self, evidence: robench.Evidence) -> Any:
        raise ValueError("no\nnumber")


def evaluate(places: Places, data: robench.Data, model: nn.Module, **given: Any) -> robench.Record:
    return robench.evaluate(model, data, places=places, **{"audit": "off", **given})


def share(record: robench.Record, metric: str = "robust_accuracy") -> float:
    found = record.find(metric)
    assert found is not None
    assert found.value is not None
    return found.value


def test_an_attack_that_edits_its_images_stays_in_the_ball(
    places: Places, tiny_data: robench.Data, trained_net: nn.Module
) -> None:
    record = evaluate(places, tiny_data, trained_net, attack=InPlace(eps=0.001))
    assert share(record) == share(record, "clean_accuracy") > 0.9


def test_an_attack_that_edits_its_images_leaves_the_audits_alone(
    tiny_data: robench.Data, trained_net: nn.Module
) -> None:
    system = robench.System(robench.FloatDeployed(trained_net), trained_net)
    images, threat = tiny_data.test.float_images()[:20], robench.Threat("linf", 0.1)
    attacks = {"in place": InPlace()}
    trial = SystemTrial(system, images, tiny_data.test.labels[:20], threat, 0, attacks=attacks)
    before = trial.images.clone()
    findings = list(PlantedExamples(images=5).look(trial))
    assert [finding.check for finding in findings] == ["planted", "planted_in place"]
    assert torch.equal(trial.images, before)


def test_another_usual_threat_is_another_data_set(
    places: Places, tiny_data: robench.Data, trained_net: nn.Module
) -> None:
    wide = robench.UsualThreat({"linf": (0.2, 0.3, 0.4)}, 0.2)
    other = robench.Data(tiny_data.train, tiny_data.test, tiny_data.classes, wide)
    first = evaluate(places, tiny_data, trained_net, attack="fgsm")
    second = evaluate(places, other, trained_net, attack="fgsm")
    assert [row.eps for row in first.rows] == [USUAL.levels["linf"][2]]
    assert [row.eps for row in second.rows] == [0.4]


def test_pixels_changed_in_place_are_other_data(
    places: Places, tiny_data: robench.Data, trained_net: nn.Module
) -> None:
    first = evaluate(places, tiny_data, trained_net, attack="fgsm")
    tiny_data.test.images.copy_(255 - tiny_data.test.images)
    second = evaluate(places, tiny_data, trained_net, attack="fgsm")
    assert first.id != second.id
    assert share(second, "clean_accuracy") < share(first, "clean_accuracy")


def test_splits_may_share_memory(
    places: Places, tiny_data: robench.Data, trained_net: nn.Module
) -> None:
    split = tiny_data.train
    data = robench.Data(split, split, tiny_data.classes, tiny_data.threat)
    assert evaluate(places, data, trained_net, attack="fgsm").data.images == len(split)


def made(sign: int) -> nn.Module:
    """A network whose class is made in a function: the same weights, another answer."""

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            with torch.random.fork_rng():
                torch.manual_seed(0)
                self.net = tiny_net()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.net(images) * sign
            return logits

    return Made()


class Straight(torch.autograd.Function):
    """Stands for a gradient that somebody experiments with."""

    scale = 1.0

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * Straight.scale


def test_classes_made_while_running_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert network_digest(made(1)) == network_digest(made(1))
    assert network_digest(made(1)) != network_digest(made(-1))
    network = made(1)
    network.gradient = Straight.apply
    before = network_digest(network)
    assert network_digest(network) == before
    monkeypatch.setattr(Straight, "scale", 2.0)
    assert network_digest(network) != before, "a class attribute changed at run time"


class Endless(Mapping[str, int]):
    """Makes its items as it is asked."""

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())


def test_what_cannot_be_looked_at_is_refused_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robench.plugin.content.MOST", 100)
    for held in (weakref.proxy(InPlace()), Endless()):
        network = nn.Identity()
        vars(network)["held"] = held
        with pytest.raises(Unreadable):
            network_digest(network)


def test_a_class_without_a_module_is_refused_a_name() -> None:
    namespace: dict[str, Any] = {"nn": nn}
    exec("class Made(nn.Identity):\n    pass", namespace)
    with pytest.raises(Unreadable, match="builtins has no file"):
        network_digest(namespace["Made"]())


def test_a_traced_network_and_arrays_have_a_name_or_are_refused() -> None:
    network = tiny_net()
    network.table = np.arange(3)  # type: ignore[assignment]
    before = network_digest(network)
    network.table = np.arange(1, 4)  # type: ignore[assignment]
    assert network_digest(network) != before
    with pytest.raises(Unreadable, match="Graph"):
        network_digest(torch.fx.symbolic_trace(tiny_net()))
    assert network_digest(nn.Sequential(nn.LSTM(3, 4)))


def attack(folder: Path, name: str, text: str) -> robench.Attack:
    """An attack of a module on the path, written and imported anew."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    for known in [m for m in sys.modules if m == name or m.startswith("space")]:
        del sys.modules[known]
    invalidate_caches()
    found: robench.Attack = __import__(name).make()
    return found


CLASS = """
from dataclasses import dataclass
import robench
{imports}
def make(scale=1):
    @dataclass(frozen=True, kw_only=True)
    class Mine(robench.Attack):
        def run(self, twin, images, labels, threat, rng):
            return images + {value}
    return Mine()
"""


@pytest.mark.parametrize(
    ("imports", "value", "change"),
    [
        ("import space.part", "space.part.X", lambda f: (f / "space/part.py").write_text("X = 2")),
        ("from space import part", "part.X", lambda f: (f / "space/part.py").write_text("X = 2")),
    ],
)
def test_a_package_without_init_counts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    imports: str,
    value: str,
    change: Callable[[Path], object],
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "space").mkdir()
    (tmp_path / "space/part.py").write_text("X = 1")
    text = CLASS.format(imports=imports, value=value)
    first = keys.component_key(attack(tmp_path, "mine_space", text))
    assert keys.component_key(attack(tmp_path, "mine_space", text)) == first
    change(tmp_path)
    assert keys.component_key(attack(tmp_path, "mine_space", text)) != first


def test_what_a_component_was_given_while_running_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = CLASS.format(imports="K = 1", value="scale * K")
    first = attack(tmp_path, "mine_state", text)
    key = keys.component_key(first)
    module = sys.modules["mine_state"]
    assert keys.component_key(module.make(2)) != key, "the closure of a factory"
    module.K = 3
    assert keys.component_key(module.make()) != key, "a constant of the module"
    module.K = 1
    assert keys.component_key(module.make()) == key
    object.__setattr__(first, "hidden", 5)
    assert keys.component_key(first) != key, "state beside the options"


def test_code_that_imports_by_name_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    value = "importlib.import_module('helper').X"
    component = attack(
        tmp_path, "mine_dynamic", CLASS.format(imports="import importlib", value=value)
    )
    assert "unread" in keys.component_key(component)["code"]
    assert "calls import_module" in capsys.readouterr().err


def test_a_metric_that_raises_is_named(
    places: Places, tiny_data: robench.Data, trained_net: nn.Module
) -> None:
    with pytest.raises(robench.PluginError, match="Raises failed: ValueError: no number"):
        evaluate(places, tiny_data, trained_net, attack="fgsm", metric=Raises())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"access": ["nope"]}, "expected access among white_box, transfer, got 'nope'"),
        ({"attack": InPlace}, r"expected attack to be .* got the class InPlace"),
    ],
)
def test_bad_arguments_are_one_line(
    places: Places, tiny_data: robench.Data, trained_net: nn.Module, given: Any, words: str
) -> None:
    with pytest.raises(robench.UserError, match=words):
        evaluate(places, tiny_data, trained_net, **{"attack": "fgsm", **given})


SCRIPT = """
from dataclasses import dataclass

import torch

import robench
from robench.testing import tiny_data, tiny_network


@dataclass(frozen=True, kw_only=True)
class Brighter(robench.Attack):
    def run(self, twin, images, labels, threat, rng):
        return images + 1


record = robench.evaluate(tiny_network(), tiny_data(), attack=Brighter(eps=0.1), audit="off")
print([row.status for row in record.rows])
"""


@pytest.mark.parametrize(
    "as_file",
    [
        pytest.param(True, id="script"),
        pytest.param(False, id="without a file", marks=pytest.mark.slow),
    ],
)
def test_a_component_of_a_script_is_evaluated(tmp_path: Path, as_file: bool) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, str(file) if as_file else "-"]
    text = None if as_file else SCRIPT
    found = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert found.stdout == "['ok']\n", found.stderr


def test_what_another_environment_installed_is_installed(tmp_path: Path) -> None:
    """A `.pth` file may add it to this one; its source is not read, however large it is."""
    assert installed_or_python(tmp_path / "other/lib/python3.11/site-packages/torch/__init__.py")
    assert installed_or_python(Path(torch.__file__))
    assert not installed_or_python(tmp_path / "project/mine.py")
