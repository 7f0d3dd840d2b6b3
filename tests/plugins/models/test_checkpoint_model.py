from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from robench.base.errors import ConfigError, UserError
from robench.core.weights import save_weights
from robench.plugin.components import Model
from robench.plugin.registry import Choice, registry
from robench_data.checkpoint import Checkpoint
from robench_data.cnn4 import CNN4
from robench_data.resnet9 import ResNet9
from robench_data.resnet20 import ResNet20
from robench_data.small_cnn import SmallCNN
from robench_data.torchvision_model import TorchvisionModel
from robench_data.wide_resnet32 import WideResNet32

SHAPE, CLASSES = (1, 8, 8), 5
CASES = {
    "small_cnn": (SmallCNN(), {}),
    "cnn4": (CNN4(), {}),
    "resnet9": (ResNet9(width=2), {"width": 2}),
    "resnet20": (ResNet20(shortcut="pad"), {"shortcut": "pad"}),
    "wide_resnet32": (WideResNet32(width=1), {"width": 1}),
    "resnet18": (TorchvisionModel(name="resnet18"), {}),
}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("architecture", CASES)
def test_round_trip(tmp_path: Path, architecture: str, suffix: str) -> None:
    model, options = CASES[architecture]
    original = model.build(SHAPE, CLASSES).eval()
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pt":
        torch.save({"state_dict": original.state_dict(), "epoch": 3}, path)
    else:
        save_weights(original, path)
    checkpoint = Checkpoint(path=str(path), architecture=architecture, options=options)
    images = torch.rand(2, *SHAPE)
    assert torch.equal(checkpoint.build(SHAPE, CLASSES).eval()(images), original(images))
    assert checkpoint.pretrained


@pytest.mark.parametrize("preset", [False, True])
def test_a_registered_model_is_an_architecture(
    weights: Path, preset: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Foreign(Model):
        """Another distribution's network."""

        bias: bool = False

        def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
            pixels = shape[0] * shape[1] * shape[2]
            return nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes, bias=self.bias))

    component = Foreign(bias=True) if preset else Foreign
    choice = Choice("model", "foreign", component, "theirs", "theirs", "1")
    monkeypatch.setitem(registry().choices["model"], "foreign", choice)
    options = None if preset else {"bias": True}
    path = weights.with_name("foreign.safetensors")
    save_weights(Foreign(bias=True).build(SHAPE, CLASSES), path)
    built = Checkpoint(path=str(path), architecture="foreign", options=options)
    assert built.build(SHAPE, CLASSES).get_parameter("1.bias").shape == (CLASSES,)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [("python", {"spec": "antigravity:fly"}), ("checkpoint", {"path": "x"}), ("python", None)],
)
def test_code_and_files_are_no_architecture(
    weights: Path, architecture: str, options: dict[str, str] | None
) -> None:
    """A preset may name a checkpoint, so a checkpoint may not name code to run."""
    with pytest.raises(ConfigError, match=f"expected.*{architecture}"):
        Checkpoint(path=str(weights), architecture=architecture, options=options).build(
            SHAPE, CLASSES
        )


def test_torchvisions_own_files_fit(tmp_path: Path) -> None:
    from torchvision.models import resnet18

    original = resnet18(num_classes=CLASSES)
    torch.save(original.state_dict(), tmp_path / "w.pth")
    built = Checkpoint(path=str(tmp_path / "w.pth"), architecture="resnet18").build(SHAPE, CLASSES)
    assert torch.equal(built.get_parameter("network.fc.weight"), original.fc.weight)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(SmallCNN().build(SHAPE, CLASSES), path)
    return path


@pytest.mark.parametrize(
    ("architecture", "classes", "where"),
    [("cnn4", CLASSES, "conv3.bias"), ("small_cnn", 6, "fc2.bias, fc2.weight and 0 more")],
)
def test_other_architectures_and_classes_are_refused(
    weights: Path, architecture: str, classes: int, where: str
) -> None:
    with pytest.raises(UserError, match=where) as error:
        Checkpoint(path=str(weights), architecture=architecture).build(SHAPE, classes)
    assert "\n" not in str(error.value)


def test_a_hostile_pickle_is_not_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"

    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trace,)

    path = tmp_path / "evil.pt"
    for content in (pickle.dumps(Hostile()), None):
        if content is None:
            torch.save({"conv1.weight": Hostile()}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(UserError, match=r"evil\.pt"):
            Checkpoint(path=str(path)).build(SHAPE, CLASSES)
        assert not trace.exists()
    pickle.loads(pickle.dumps(Hostile()))
    assert trace.exists()


def changed(path: Path, change: object) -> Checkpoint:
    """A checkpoint of small_cnn whose first tensor is what `change` makes of it."""
    state = SmallCNN().build(SHAPE, CLASSES).state_dict()
    first = next(iter(state))
    torch.save({**state, first: change(state[first])}, path)
    return Checkpoint(path=str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.int(), r"torch\.float32 as conv1\.weight .* got torch\.int32"),
        (lambda t: t.bool(), "got torch.bool"),
        (lambda t: t.to(torch.complex64), "got torch.complex64"),
        (lambda t: t * float("nan"), "finite numbers as conv1"),
        (lambda t: t.double() + 1e300, "finite numbers as conv1"),
        (lambda t: t.flatten(), "others at conv1"),
        (lambda t: t.to_sparse(), "plain tensors"),
        (lambda t: t.to("meta"), "plain tensors"),
        (lambda t: [1.0], "plain tensors"),
    ],
)
def test_other_numbers_are_refused(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        changed(tmp_path / "w.pt", change).build(SHAPE, CLASSES)
    assert "\n" not in str(error.value)


def test_floats_of_another_precision_are_read(tmp_path: Path) -> None:
    for change in (torch.Tensor.double, torch.Tensor.half, torch.Tensor.bfloat16):
        assert changed(tmp_path / "w.pt", change).build(SHAPE, CLASSES)


def test_names_that_are_no_names_are_refused(tmp_path: Path) -> None:
    torch.save({3: torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="other 3"):
        Checkpoint(path=str(tmp_path / "w.pt")).build(SHAPE, CLASSES)


def test_expanding_files_are_refused_unread(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save({"weight": torch.zeros(2**22)}, plain)
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(packed, "w", 8) as smaller:
        for name in archive.namelist():
            smaller.writestr(name, archive.read(name))
    with pytest.raises(UserError, match="got compressed or overlapping tensors"):
        Checkpoint(path=str(packed)).build(SHAPE, CLASSES)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for name in ("w.pt", "w.safetensors"):
        os.mkfifo(tmp_path / name)
        model = Checkpoint(path=str(tmp_path / name))
        for use in (model.identity, lambda model=model: model.build(SHAPE, CLASSES)):
            with pytest.raises(UserError, match=name):
                use()


def test_giant_headers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    entry = '{"conv1.weight":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}'
    header = (entry % (2**60, 2**62)).encode()
    for size in (2**62, len(header)):
        path.write_bytes(size.to_bytes(8, "little") + header)
        with pytest.raises(UserError, match=r"w\.safetensors"):
            Checkpoint(path=str(path)).build(SHAPE, CLASSES)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_damaged_files_are_refused(weights: Path, keep: int) -> None:
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"small\.safetensors"):
        Checkpoint(path=str(weights)).build(SHAPE, CLASSES)


def test_the_identity_follows_the_file(weights: Path) -> None:
    model = Checkpoint(path=str(weights))
    before = model.identity()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert model.identity() != before
    weights.unlink()
    for use in (model.identity, lambda: model.build(SHAPE, CLASSES)):
        with pytest.raises(UserError, match=r"small\.safetensors"):
            use()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"set model\.checkpoint\.path"),
        ({"path": "x", "options": 3}, "a mapping of options of small_cnn, got 3"),
        (
            {"path": "x", "architecture": "resnet20", "options": {"shortcut": None}},
            "shortcut to be text, got null",
        ),
        (
            {"path": "x", "architecture": "wide_resnet32", "options": {"width": "two"}},
            "width to be a whole number, got 'two'",
        ),
        ({"path": "x", "options": {"width": 2}}, r"an option of model\.small_cnn, got 'width'"),
        (
            {"path": "x", "architecture": "wide_resnet32", "options": {"width": 0}},
            "width >= 1, got 0",
        ),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Checkpoint(**options)


def test_unknown_architectures_suggest_known_ones(weights: Path) -> None:
    model: Model = Checkpoint(path=str(weights), architecture="resnet81")
    with pytest.raises(ConfigError, match=r"resnet81.*choose for example resnet"):
        model.build(SHAPE, CLASSES)
