"""LiteRT as a runtime."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from robench import Runtime
from robench.shipped import load
from robench.testing import RuntimeContract
from robench_files.litert import LiteRT
from tests.graph.litert_models import Op, T, model, write

pytest.importorskip("ai_edge_litert.interpreter")
FILES = Path(__file__).parents[2] / "fixtures/files"
RNG = np.random.default_rng(0)
LINEAR = Op("FULLY_CONNECTED", [2, 3, -1], [4], {}, "FullyConnectedOptions")


def bars(folder: Path, *, batch: int = 1) -> Path:
    """A linear classifier of the bars of `tiny_data`."""
    weights = np.zeros((3, 8, 8))
    for label in range(3):
        weights[label, 3 * label] = 1
    tensors = [T((batch, 8, 8, 1)), T((2,), "int32", (batch, 64)), T((batch, 64)),
               T((3, 64), "float32", weights), T((batch, 3))]  # fmt: skip
    operators = [Op("RESHAPE", [0, 1], [2], {}, "ReshapeOptions"), LINEAR]
    return write(model(tensors, operators), folder / "bars.tflite")


class TestLiteRT(RuntimeContract):
    component: ClassVar[Runtime] = LiteRT()

    def make(self, folder: Path) -> Path:
        return bars(folder)


def test_codes_are_made_real_and_kernels_differ() -> None:
    session = load("litert", LiteRT(), FILES / "digits.int8.tflite")
    (source,), (target,) = session.inputs, session.outputs
    assert source.shape == (None, 8, 8, 1)
    assert (source.dtype, target.dtype) == ("int8", "int8")
    images = RNG.random((20, 8, 8, 1), np.float32)
    answers = session.run(images, target.name)
    assert target.scale is not None
    codes = answers / target.scale
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    ways = session.variants()
    assert session.describe()["provider"] == "XNNPACK"
    assert ways["reference kernels"].describe()["provider"] == "reference kernels"
    others = [way.run(images, target.name) for way in ways.values()]
    assert any(not np.array_equal(other, answers) for other in others)
    assert all(np.abs(other - answers).max() < 3 * target.scale for other in others)


def test_a_fixed_batch_is_stated(tmp_path: Path) -> None:
    session = load("litert", LiteRT(), bars(tmp_path, batch=4))
    (source,), (target,) = session.inputs, session.outputs
    assert source.shape == (4, 8, 8, 1)
    assert session.run(np.zeros((4, 8, 8, 1), np.float32), target.name).shape == (4, 3)
