"""Foreign toolchains as compressors: the file, its determinism, and what a failure says."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

import robench
from robench.testing import CompressorContract
from robench.testing.tiny import tiny_data, tiny_network
from robench_files.openvino_int8 import OpenVINOInt8
from robench_files.ort_int8 import OrtInt8
from robench_files.pt2e_int8 import PT2EInt8
from robench_files.toolchain import Toolchain


@dataclass(frozen=True, kw_only=True)
class Failing(Toolchain):
    """Fails as its makers do."""

    file: ClassVar[str] = "network.onnx"
    runtime: ClassVar[str] = "onnxruntime"
    requires: ClassVar[str] = "pip install something"

    missing: bool = False

    def write(self, model: nn.Module, images: Tensor, path: Path) -> None:
        del model, images, path
        print("a page of progress")
        if self.missing:
            raise ModuleNotFoundError("No module named 'something'")
        raise ValueError("operator aten::odd\n  is not known")


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (True, "got No module named 'something'; pip install something"),
        (False, "got ValueError: operator aten::odd is not known; choose another compressor"),
    ],
)
def test_a_toolchains_failure_is_one_line(
    missing: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(robench.UserError) as raised:
        Failing(missing=missing).finish(tiny_network(), tiny_data())
    assert str(raised.value).endswith(said)
    assert "\n" not in str(raised.value)
    assert capsys.readouterr() == ("", "")


def test_no_images_to_calibrate_on() -> None:
    with pytest.raises(robench.ConfigError, match="images"):
        OrtInt8(images=0)


def folders_named(file: Path) -> list[str]:
    """Folders of this machine that stand in a file, where its reader has no business with them."""
    folders = (torch.__file__, __file__, sys.prefix, tempfile.gettempdir())
    holds = file.read_bytes()
    return [folder for folder in folders if folder.encode() in holds]


def test_onnx_runtimes_file_is_judged_in_onnx_runtime(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    data, network = tiny_data(), tiny_network()
    images = data.test.float_images()
    with torch.no_grad():
        floats = network(images).argmax(1)
    system = OrtInt8(images=60).finish(network, data)
    labels = system.deployed.predict(images)
    assert (labels == floats).double().mean() >= 0.95
    assert torch.equal(labels, system.twin(images).argmax(1))
    assert {"open_output", "pass_through"} >= set(system.others)
    system.deployed.save(tmp_path)
    (path,) = tmp_path.iterdir()
    assert not folders_named(path)
    nodes = onnx.load(path).graph.node
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in nodes}
    again = OrtInt8().reopen(path, data)
    assert torch.equal(again.deployed.predict(images), labels)


@pytest.mark.slow
class TestOrtInt8(CompressorContract):
    component: ClassVar[OrtInt8] = OrtInt8(images=60)


@pytest.mark.files
class TestPT2EInt8(CompressorContract):
    component: ClassVar[PT2EInt8] = PT2EInt8(images=60)


@pytest.mark.files
class TestOpenVINOInt8(CompressorContract):
    component: ClassVar[OpenVINOInt8] = OpenVINOInt8(images=60)


@pytest.fixture(autouse=True)
def toolchain(request: pytest.FixtureRequest) -> None:
    """The packages that a contract's component needs."""
    needed = {"TestPT2EInt8": ["torchao"], "TestOpenVINOInt8": ["openvino", "nncf"]}
    for package in needed.get(getattr(request.cls, "__name__", ""), []):
        pytest.importorskip(package)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(OrtInt8, marks=pytest.mark.slow),
        pytest.param(PT2EInt8, marks=pytest.mark.files),
    ],
)
def test_the_same_weights_give_the_same_file(kind: type[Toolchain], tmp_path: Path) -> None:
    written, network = [], tiny_network()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / kind.file
        with torch.no_grad():
            kind().write(network, tiny_data().train.float_images()[:60], path)
        assert not folders_named(path)
        written.append(path.read_bytes())
    assert written[0] == written[1]
