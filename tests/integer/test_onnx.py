"""The ONNX export gives nearly the program's logits in ONNX Runtime and OpenVINO."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from robench.base.errors import UserError
from robench.integer import Program, export_onnx, quantize, run_reference, to_program
from robench.integer.differentiable import ProgramTwin
from robench.integer.ops import Logits
from robench.integer.runtimes import agreements, classifier
from robench.shipped import open_system
from tests.integer.integer_networks import CifarResNet, WideResNet, cnn4, settle

NETWORKS = {
    "resnet option A": (lambda: CifarResNet(1, 8, "A"), (3, 32, 32)),
    "resnet option B": (lambda: CifarResNet(1, 8, "B"), (3, 32, 32)),
    "wide_resnet": (lambda: WideResNet(1, 1), (3, 32, 32)),
    "cnn4": (cnn4, (1, 28, 28)),
}


def exported(model: nn.Module, shape: tuple[int, ...], path: Path) -> tuple[Program, torch.Tensor]:
    pixels = torch.randint(
        0, 256, (24, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    program = to_program(quantize(settle(model, shape), pixels / 255, input_range=(-40, 300)))
    export_onnx(program, path)
    return program, pixels


def assert_close(program: Program, pixels: torch.Tensor, logits: torch.Tensor) -> None:
    (last,) = (op for op in program.ops if isinstance(op, Logits))
    expected = run_reference(program, pixels)[1].float() * (last.unit / 2.0**32)
    assert (logits - expected).abs().max() < 0.15 * expected.std()


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_runtime_agrees(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    build, shape = NETWORKS[name]
    program, pixels = exported(build(), shape, tmp_path / "net.onnx")
    options = runtime.SessionOptions()
    # Without VNNI its int8 products saturate in 16 bits unless it is asked to be exact.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = runtime.InferenceSession(
        tmp_path / "net.onnx", options, providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {"images": pixels.float().numpy()})
    assert_close(program, pixels, torch.from_numpy(logits))


def test_its_logits_are_those_of_the_networks_twin(tmp_path: Path) -> None:
    """On the scale of integers every softmax is 0 or 1, and a gradient attack on the file blind."""
    pytest.importorskip("onnx")
    program, pixels = exported(cnn4(), (1, 28, 28), tmp_path / "net.onnx")
    real = ProgramTwin(program).float()(pixels / 255).detach()
    file = open_system(tmp_path / "net.onnx", shape=(1, 28, 28), classes=10, scale="byte")
    images = (pixels / 255).requires_grad_()
    logits = file.twin(images)
    assert (logits.detach() - real).abs().max() < 0.15 * real.std()
    (gradient,) = torch.autograd.grad(cross_entropy(logits, logits.argmax(1)), images)
    assert (gradient.flatten(1) != 0).any(1).all()


def test_openvino_agrees(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        openvino = pytest.importorskip("openvino")
    program, pixels = exported(CifarResNet(1, 8), (3, 32, 32), tmp_path / "net.onnx")
    compiled = openvino.Core().compile_model(tmp_path / "net.onnx", "CPU")
    logits = compiled(pixels.float().numpy())[0]
    assert_close(program, pixels, torch.from_numpy(logits))


def test_runtimes_are_classifiers_and_their_agreement_is_measured() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    pixels = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8)
    program = to_program(quantize(settle(CifarResNet(1, 8), (3, 32, 32)), pixels / 255))
    labels = run_reference(program, pixels)[0]
    found = classifier(program, "onnxruntime", 1)
    assert torch.equal(found.predict(pixels / 255), found.labels(pixels))
    shares = agreements(program, pixels, labels, 1)
    assert shares["onnxruntime"] == (found.labels(pixels) == labels).double().mean() > 0.9
    assert agreements(program, pixels, (labels + 1) % 10, 1)["onnxruntime"] < 0.1
    with pytest.raises(UserError, match="onnxruntime, openvino"):
        classifier(program, "tensorflow", 1)
