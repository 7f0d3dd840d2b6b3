"""RobustBench's networks, of a stand-in for its package: what is read, and what is refused."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import robench
from robench.base.errors import ConfigError, UserError
from robench.core.data import Data, Split
from robench.core.threat import UsualThreat
from robench.records.said import warnings
from robench.run.config import Places
from robench_data.robustbench import RobustBench

SHAPE = (3, 32, 32)
MODELS = """
from enum import Enum
import torch
from torch import nn

class Dataset(Enum):
    cifar_10 = "cifar10"

class Threat(Enum):
    Linf = "Linf"

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mu", torch.full((1, 3, 1, 1), 0.5))
        self.conv, self.norm = nn.Conv2d(3, 2, 9, 9), nn.BatchNorm2d(2)
        self.head = nn.Linear(18, 10)

    def forward(self, x):
        return self.head(self.norm(self.conv(x - self.mu)).flatten(1))

class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, x):
        return self.model(x)

def broken():
    raise RuntimeError("no driver\\nat all")

model_dicts = {Dataset.cifar_10: {Threat.Linf: {
    "Fast": {"model": Net, "gdrive_id": "x"},
    "Wrapped": {"model": Wrapped, "gdrive_id": "x"},
    "Ensemble": {"model": Net, "gdrive_id": ["x", "y"]},
    "OfTimm": {"model": Net, "gdrive_id": None},
    "Broken": {"model": broken, "gdrive_id": "x"},
}}}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package, whose own start fails as that of the wheel of PyPI does."""
    package = tmp_path / "site" / "robustbench"
    (package / "model_zoo").mkdir(parents=True)
    (package / "__init__.py").write_text("from autoattack_of_nobody import AutoAttack\n")
    (package / "model_zoo" / "__init__.py").write_text("")
    (package / "model_zoo" / "models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(package.parent)
    yield package
    for name in [name for name in sys.modules if name.startswith("robustbench")]:
        del sys.modules[name]


@pytest.fixture
def folder(installed: Path, tmp_path: Path) -> Path:
    (tmp_path / "zoo" / "cifar10" / "Linf").mkdir(parents=True)
    return tmp_path / "zoo"


def model(folder: Path, name: str = "Fast") -> RobustBench:
    return RobustBench(name=name, folder=str(folder))


def network(folder: Path, name: str = "Fast") -> nn.Module:
    return model(folder, name).untrained(SHAPE, 10).eval()


def saved(folder: Path, content: Any, name: str = "Fast") -> Path:
    path = folder / "cifar10" / "Linf" / f"{name}.pt"
    torch.save(content, path)
    return path


def prefixed(net: nn.Module, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize(
    "content",
    [
        lambda net: net.state_dict(),
        lambda net: {"state_dict": prefixed(net, "module."), "epoch": 7},
        lambda net: {"state_dict": prefixed(net, "module.model.")},
        lambda net: {"last": net.state_dict(), "best": {}},
        lambda net: net.state_dict() | {"conv.scores": torch.ones(3)},
    ],
)
@pytest.mark.parametrize("name", ["Fast", "Wrapped"])
def test_a_published_file_is_read(folder: Path, name: str, content: Callable[..., Any]) -> None:
    net, images = network(folder, name), torch.rand(2, *SHAPE)
    saved(folder, content(net), name)
    assert torch.equal(model(folder, name).build(SHAPE, 10).eval()(images), net(images))
    assert "robustbench" not in sys.modules, "the start of the package was not run"


def test_safetensors_do_and_what_is_left_out_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    net = network(folder)
    state = {name: tensor for name, tensor in net.state_dict().items() if name != "mu"}
    save_file(state, folder / "cifar10" / "Linf" / "Fast.safetensors")
    built = model(folder).build(SHAPE, 10).eval()
    images = torch.rand(2, *SHAPE)
    assert torch.equal(built(images), net(images))
    assert "Fast.safetensors: the architecture's own are kept: mu" in capsys.readouterr().err


def test_the_file_decides_the_network(folder: Path) -> None:
    net = network(folder)
    saved(folder, net.state_dict())
    first = model(folder).identity()
    assert "robustbench" in first
    nn.init.zeros_(net.get_parameter("head.bias"))
    saved(folder, net.state_dict())
    assert model(folder).identity() != first


def without(net: nn.Module, name: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in net.state_dict().items() if key != name}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"  <!DOCTYPE html><html>", "got a web page: the download was refused"),
        (b"", "expected"),
        (lambda net: without(net, "head.weight"), "at head.weight and 0 more"),
        (lambda net: net.state_dict() | {"other": torch.ones(1)}, "at other and 0 more"),
        (lambda net: {"state_dict": net.state_dict(), "acc": np.float64(1)}, "needs code to load"),
        (lambda net: {"state_dict": nn.Flatten()}, "needs code to load"),
    ],
)
def test_other_files_are_one_line(folder: Path, content: Any, words: str) -> None:
    if isinstance(content, bytes):
        (folder / "cifar10" / "Linf" / "Fast.pt").write_bytes(content)
    else:
        saved(folder, content(network(folder)))
    with pytest.raises(UserError, match=words) as refused:
        model(folder).build(SHAPE, 10)
    assert "\n" not in str(refused.value)


def test_a_pickle_is_not_executed(folder: Path, tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    (folder / "cifar10" / "Linf" / "Fast.pt").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match="expected"):
        model(folder).build(SHAPE, 10)
    assert not (tmp_path / "ran").exists()


def test_a_file_larger_than_any_network_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench_data.networks.zoo.MAX_BYTES", 100)
    saved(folder, network(folder).state_dict())
    with pytest.raises(UserError, match="expected at most 100 bytes"):
        model(folder).build(SHAPE, 10)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Fest", "expected a name that robustbench has for cifar10 and Linf, got 'Fest'"),
        ("Ensemble", "an ensemble of 2 files, which is not supported"),
        ("OfTimm", "whose weights timm or torchvision has"),
        ("Broken", "got RuntimeError: no driver; choose another"),
        ("Fast", "Linf/Fast.pt, got none; put the file"),
    ],
)
def test_names_without_a_network_are_one_line(folder: Path, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        model(folder, name).build(SHAPE, 10)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="expected the name of a RobustBench model"):
        RobustBench(name=name)


@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 10), ((3, 32, 32), 7)])
def test_other_images_are_refused(folder: Path, shape: Any, classes: int) -> None:
    with pytest.raises(ConfigError, match="expected images of cifar10, cifar100 or imagenet"):
        model(folder).build(shape, classes)


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench_data.networks.zoo.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"got none; pip install --no-deps robustbench timm"):
        model(tmp_path).untrained(SHAPE, 10)


def test_a_package_that_does_not_import_says_what_it_wants(folder: Path, installed: Path) -> None:
    (installed / "model_zoo" / "models.py").write_text("import timm_of_nobody")
    with pytest.raises(ConfigError, match="want of the package timm_of_nobody; pip install"):
        model(folder).untrained(SHAPE, 10)


def described(folder: Path, text: str) -> None:
    place = folder / "model_info" / "cifar10" / "Linf"
    place.mkdir(parents=True)
    (place / "Fast.json").write_text(text)


@pytest.mark.parametrize("text", ["{", "[]", '{"clean_acc": "many"}', '{"clean_acc": "NaN"}'])
def test_a_damaged_description_is_one_line(folder: Path, text: str) -> None:
    described(folder, text)
    with pytest.raises(UserError, match="expected a description of a RobustBench model"):
        model(folder).notes(SHAPE, 10)


def test_published_figures_stand_beside_ours(folder: Path, places: Places) -> None:
    pixels = torch.randint(0, 256, (30, *SHAPE), generator=torch.Generator().manual_seed(0))
    net = network(folder)
    saved(folder, net.state_dict())
    images = pixels.to(torch.uint8)
    labels = net(images / 255).argmax(1)
    split = Split(images, labels)
    data = Data(split, split, tuple("0123456789"), UsualThreat({"linf": (0.1, 0.2, 0.3)}, 0.1))
    described(folder, json.dumps({"clean_acc": "83.34", "autoattack_acc": 43.21, "eps": "8/255"}))
    record = robench.evaluate(model(folder), data, attack="fgsm", audit="off", places=places)
    told = {"clean_accuracy": 0.8334, "autoattack_accuracy": 0.4321}
    assert record.notes["published"] == [{"model": "Fast", "threat": "Linf", **told}]
    (warned,) = [line for line in warnings(record) if "published" in line]
    assert "expected about the published clean accuracy of 83.3%, got 100.0%" in warned
    near = {"published": [{"clean_accuracy": 0.9}]}
    assert not [w for w in warnings(record.model_copy(update={"notes": near})) if "publ" in w]
