"""ONNX Runtime and OpenVINO as runtimes of ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from robench import Runtime
from robench.shipped import load
from robench.testing import RuntimeContract
from robench_files.onnxruntime import OnnxRuntime
from robench_files.openvino import OpenVINO
from tests.shipped.toys import node, port, save

FILES = Path(__file__).parents[2] / "fixtures/files"


def bars(folder: Path) -> Path:
    """A linear classifier of the bars of `tiny_data`."""
    weights = np.zeros((1, 8, 8, 3), dtype=np.float32)
    for label in range(3):
        weights[0, 3 * label, :, label] = 1
    nodes = [
        node("Flatten", ["images"], ["flat"], axis=1),
        node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    inputs, outputs = [port("images", ["n", 1, 8, 8])], [port("logits", ["n", 3])]
    constants = {"weights": weights.reshape(64, 3)}
    path = folder / "bars.onnx"
    return save(path, nodes, inputs=inputs, outputs=outputs, constants=constants)


class TestOnnxRuntime(RuntimeContract):
    component: ClassVar[Runtime] = OnnxRuntime()

    def make(self, folder: Path) -> Path:
        pytest.importorskip("onnxruntime")
        return bars(folder)


@pytest.mark.files
class TestOpenVINO(RuntimeContract):
    component: ClassVar[Runtime] = OpenVINO()

    def make(self, folder: Path) -> Path:
        pytest.importorskip("openvino")
        return bars(folder)


def test_it_runs_optimised_and_not() -> None:
    pytest.importorskip("onnxruntime")
    session = load("onnxruntime", OnnxRuntime(), FILES / "digits.qdq.onnx")
    ways = session.variants()
    assert len(ways) == 2
    images = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
    (target,) = session.outputs
    answers = [one.run(images, target.name) for one in (session, *ways.values())]
    assert all(np.abs(one - answers[0]).max() < 1 for one in answers)
