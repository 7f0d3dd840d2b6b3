from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from robench.base.errors import ConfigError, PluginError, UserError
from robench_data.python_model import PythonModel
from robench_data.torchvision_model import TorchvisionModel

SHAPE = (3, 32, 32)


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A file as torchvision publishes them, with weights unlike any initial ones."""
    from torchvision.models import resnet18

    state = {k: torch.full_like(v, 2) for k, v in resnet18(num_classes=12).state_dict().items()}
    path = tmp_path / "resnet18.pth"
    torch.save(state, path)
    return path, state


def test_the_head_is_replaced(published: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, state = published
    network = TorchvisionModel(weights=str(path)).build(SHAPE, 5)
    own = network.get_submodule("network").state_dict()
    assert own["fc.weight"].shape == (5, 512)
    assert not (own["fc.weight"] == 2).any()
    assert all(torch.equal(own[k], v) for k, v in state.items() if not k.startswith("fc."))


def test_the_head_stays_when_the_classes_agree(
    published: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    network = TorchvisionModel(weights=str(published[0])).build(SHAPE, 12)
    assert (network.get_parameter("network.fc.weight") == 2).all()


def test_weights_of_another_network_are_refused(
    published: tuple[Path, dict[str, torch.Tensor]],
) -> None:
    with pytest.raises(UserError, match="choose the architecture") as error:
        TorchvisionModel(name="resnet50", weights=str(published[0])).build(SHAPE, 12)
    assert "\n" not in str(error.value)


def test_densenets_old_names_load(tmp_path: Path) -> None:
    from torchvision.models import densenet121

    state = densenet121(num_classes=3).state_dict()
    old = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in k else k: v
        for k, v in state.items()
    }
    assert set(old) != set(state)
    torch.save(old, tmp_path / "d.pth")
    network = TorchvisionModel(name="densenet121", weights=str(tmp_path / "d.pth")).build(SHAPE, 3)
    loaded = network.get_submodule("network").state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in state.items())


def test_imagenet_weights_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"resnet18.*no route.*torchvision\.weights=FILE") as error:
        TorchvisionModel(weights="imagenet").build(SHAPE, 10)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "near"), [("resnet_18", "resnet18"), ("googlenet", "one output"), ("xyz", "example")]
)
def test_unknown_names(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=near):
        TorchvisionModel(name=name).build(SHAPE, 10)


def test_channels_other_than_grey_and_rgb() -> None:
    grey = TorchvisionModel().build((1, 32, 32), 4).eval()
    images = torch.rand(2, 1, 32, 32)
    inner = torch.nn.Sequential(grey.get_submodule("normalize"), grey.get_submodule("network"))
    assert torch.equal(grey(images), inner(images.expand(-1, 3, -1, -1)))
    with pytest.raises(ConfigError, match="1 or 3 channels for resnet18, got 2"):
        TorchvisionModel().build((2, 32, 32), 4)


def test_identities(published: tuple[Path, dict[str, torch.Tensor]]) -> None:
    assert TorchvisionModel().identity() == TorchvisionModel(weights="imagenet").identity() == ""
    assert len(TorchvisionModel(weights=str(published[0])).identity()) == 64
    with pytest.raises(UserError, match=r"absent\.pth"):
        TorchvisionModel(weights="absent.pth").identity()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "users_own_nets.py"
    path.write_text(
        "from torch import nn\n"
        "def make(shape, classes):\n"
        "    size = shape[0] * shape[1] * shape[2]\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(size, classes))\n"
        "def wrong(shape, classes):\n"
        "    return 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return path


def test_a_users_function_makes_the_network(module: Path) -> None:
    model = PythonModel(spec="users_own_nets:make")
    assert model.build((1, 4, 4), 3)(torch.rand(2, 1, 4, 4)).shape == (2, 3)
    before = model.identity()
    module.write_text(module.read_text() + "# changed\n")
    assert model.identity() != before


def test_a_function_must_return_a_module(module: Path) -> None:
    with pytest.raises(PluginError, match="users_own_nets:wrong, got int"):
        PythonModel(spec="users_own_nets:wrong").build((1, 4, 4), 3)


@pytest.mark.parametrize("spec", ["users_own_nets:absent", "no_such_module_at_all:make"])
def test_functions_that_are_not_there(module: Path, spec: str) -> None:
    with pytest.raises(ConfigError, match=rf"{spec}.*PYTHONPATH"):
        PythonModel(spec=spec).build((1, 4, 4), 3)


@pytest.mark.parametrize("spec", ["os:getcwd", "builtins:dict", "math:pi"])
def test_what_has_no_source_is_no_function_of_a_user(spec: str) -> None:
    with pytest.raises(ConfigError, match=f"expected a function written in Python at {spec}"):
        PythonModel(spec=spec).identity()


@pytest.mark.parametrize(
    "spec", ["", "module", "module:", ":make", "a.1:make", "a:b:c", "a:b()", "../a:b", "a b:c"]
)
def test_malformed_specs(spec: str) -> None:
    with pytest.raises(ConfigError, match='expected spec="module:function"'):
        PythonModel(spec=spec)
