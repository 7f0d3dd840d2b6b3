"""What a run would refuse its plan refuses: the same line, and nothing is trained for it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from robench.run.plan import _is_there
from tests.cli.command import command

QUICK = (
    "images",
    "layers on other data",
    "layers of a program, after",
    "surrogate's layers",
    "compressor's package",
    "runtime's package",
    "data that are not there",
    "pictures that are none",
    "file that is not there",
    "weights that are not there",
    "code that raises",
)
"""One of each way to be refused; the others are slow tests, half a second each."""
NETWORK = """
from torch import nn

class Odd(nn.Sequential):
    def __init__(self, shape, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, 8), nn.SiLU(), nn.Linear(8, classes))

def raises(shape, classes):
    raise RuntimeError("boom")
"""
OWN = ["model=python", "model.python.spec=own_networks:Odd"]
COMPOSED = {
    "device": (["device=cuda:77"], "expected a device that is here"),
    "threads": (["threads=5000"], "expected threads from 1 to 4096"),
    "results": (["results=/dev/null"], "expected results= to name a folder"),
    "cache": (["cache=/dev/null"], "expected cache= to name a folder"),
    "budget in pixels": (["threat.eps=8"], "did you mean 8/255?"),
    "level": (["threat.norm=l2", "threat.eps=enormous"], "expected eps to be a number"),
    "metric": (["metric=certified"], "expected a smoothed system for metric=certified"),
    "certifier": (
        ["defense=intrs", "certifier=cohen", "certifier.cohen.alpha=2"],
        "expected 0 < alpha < 0.5, got 2",
    ),
    "check": (["audit.checks=[nope]"], "expected check to be a registered one, got 'nope'"),
    "plugin": (["attack=nobodys"], "expected attack to be one of"),
    "compressor's package": (
        ["compressor=pt2e_int8"],
        "expected the packages of compressor=pt2e_int8, got no torchao; pip install",
    ),
    "protocol": (
        ["protocol=mnist_linf", "dataset=digits"],
        "protocol mnist_linf fixes it",
    ),
    "protocol's images": (["protocol=digits_linf", "images=40"], "protocol digits_linf fixes it"),
    "defenses": (
        ["defense=[adversarial_training,gaussian_training]"],
        "expected one defense that trains",
    ),
    "defense and compressor": (["defense=mulaw", "compressor=qat_int8"], "expected no weight map"),
    "norm": (["attack=[pgd,cw]", "threat.norm=linf"], "expected threat.norm l2 for attack=cw"),
    "recipe": (["train.optimizer=lion"], "train.optimizer"),
}
"""What the configuration alone tells: plan and run share the code that refuses it."""
HOSTILE = {
    "images": (["images=361"], "expected images of at most 360"),
    "images of a file": (
        ["dataset=npz", "dataset.npz.path=there.npz", "images=41"],
        "expected images of at most 40, got 41",
    ),
    "layers": (["defense=mulaw", "defense.mulaw.layers=9"], "expected layers between 1 and 5"),
    "layers on other data": (
        ["dataset=npz", "dataset.npz.path=there.npz", "defense=mulaw", "defense.mulaw.layers=9"],
        "expected layers between 1 and 5",
    ),
    "layers of a program": ([*OWN, "compressor=qat_int8"], "SiLU"),
    "layers of a program, after": ([*OWN, "compressor=ptq_int8"], "SiLU"),
    "budget": (["attack=cw", "attack.cw.eps=[1,9]"], "expected eps of attack.cw up to 8 in l2"),
    "surrogate": (
        ["access=transfer", "+access.transfer.source.model=nobodys"],
        "expected model to be one of",
    ),
    "surrogate's layers": (
        ["access=transfer", "+access.transfer.source.defense={mulaw:{layers:9}}"],
        "expected layers between 1 and 5",
    ),
    "runtime's package": (
        ["model=file", "model.file.path=there.tflite"],
        "expected the package of runtime litert, got none",
    ),
    "runtime": (
        ["model=file", "model.file.path=there.tflite", "model.file.runtime=nobodys"],
        "expected runtime to be one of",
    ),
    "data that are not there": (
        ["dataset=npz", "dataset.npz.path=gone.npz"],
        "expected a file at gone.npz, got none",
    ),
    "pictures that are not there": (
        ["dataset=image_folder", "dataset.image_folder.path=gone"],
        "expected a sub-folder of pictures for each class in gone",
    ),
    "pictures that are none": (
        ["dataset=image_folder", "dataset.image_folder.path=pictures"],
        "expected a readable picture at pictures/",
    ),
    "data that cannot be read": (["dataset=npz", "dataset.npz.path=torn.npz"], "torn.npz"),
    "file that is not there": (["model=file", "model.file.path=gone.onnx"], "at gone.onnx"),
    "file that is a folder": (
        ["model=file", "model.file.path=."],
        "expected a file, got the folder",
    ),
    "weights that are not there": (
        ["model=checkpoint", "model.checkpoint.path=gone.safetensors"],
        "expected a readable file at gone.safetensors",
    ),
    "weights that cannot be read": (
        ["model=checkpoint", "model.checkpoint.path=torn.safetensors"],
        "torn.safetensors",
    ),
    "code that is not there": (
        ["model=python", "model.python.spec=gone_module:net"],
        "gone_module",
    ),
    "code that raises": (["model=python", "model.python.spec=own_networks:raises"], "boom"),
}
"""What only the machine, the data or the network tell."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, as no case leaves more in it than data."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def things(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data, networks and damaged files, where packages are missing, too."""
    monkeypatch.setenv("ROBENCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_networks.py").write_text(NETWORK)
    for name in ("torn.npz", "torn.safetensors", "there.tflite"):
        (tmp_path / name).write_bytes(b"torn" * 40)
    for name in ("a", "b"):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(6):
            (folder / f"{number}.png").write_bytes(b"no picture")
    rng = np.random.default_rng(0)
    arrays = {
        f"{what}_{part}": rng.integers(0, most, shape, dtype=np.uint8)
        for part in ("train", "test")
        for what, most, shape in (("x", 256, (40, 1, 8, 8)), ("y", 10, (40,)))
    }
    np.savez(tmp_path / "there.npz", **arrays)
    for name in ("torchao", "ai_edge_litert"):
        monkeypatch.setitem(sys.modules, name, None)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(*case, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, case in (HOSTILE | COMPOSED).items()
    ],
)
def test_the_plan_and_the_run_end_with_the_same_line(
    arguments: list[str],
    words: str,
    things: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("robench.run.stages.Stages._train", never)
    said = [command(["run", *plan, *arguments], capsys) for plan in (["--dry-run"], [])]
    status, out, err = said[0]
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert words in err
    assert said[1] == said[0]
    assert not (things / "results").exists() or not list((things / "results").iterdir())


def test_data_that_are_to_be_downloaded_are_left_to_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["run", "--dry-run", f"data_root={tmp_path / 'gone'}"]
    for name in ("mnist", "cifar10", "caltech101"):
        status, out, err = command([*plan, f"dataset={name}"], capsys)
        assert (status, err) == (0, "")
        assert f"{name}, to be downloaded: what needs them is not checked" in out
    assert not (tmp_path / "gone").exists()


def test_a_plan_reads_no_more_than_the_first_picture_of_each_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    folders = [tmp_path / "pictures" / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    opened = []
    open_it = Image.open
    monkeypatch.setattr(
        "PIL.Image.open", lambda path, **more: opened.append(path) or open_it(path, **more)
    )
    given = [f"dataset.image_folder.path={folders[0].parent}", "dataset.image_folder.size=8"]
    plan = ["run", "--dry-run", "dataset=image_folder", *given]
    status, out, err = command([*plan, "compressor=ptq_int8"], capsys)
    assert (status, err) == (0, "")
    assert "on 8 test images" in out
    assert len(opened) == 2


def test_a_package_inside_one_that_is_missing_is_missing() -> None:
    assert [_is_there(name) for name in ("torch.nn", "no_such.inside", "no_such")] == [
        *(True, False, False)
    ]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], "quick, on 360 images, its checks on 100"),
        (["audit=full"], "full, on 360 images"),
        (["images=40"], "quick, on 40 images"),
        (["audit.images=20", "images=40"], "quick, on 40 images, its checks on 20"),
        (["audit=off"], "off"),
    ],
)
def test_a_plan_says_on_how_many_images_the_audit_looks(
    asked: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the run's own line does: its checks take some, its search all."""
    status, out, _ = command(["run", "--dry-run", "attack=fgsm", *asked], capsys)
    assert status == 0
    (line,) = (line for line in out.splitlines() if line.startswith("audit"))
    assert line.split(maxsplit=1)[1] == told
