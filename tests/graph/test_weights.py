"""Bits of the weights of a foreign file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robench.core.session import Port
from robench.graph import Builder, Kind, Quantiser, read, weight_bits
from robench.graph.table import MatMul, Quantise, Transpose, Unary

FILES = Path(__file__).parents[1] / "fixtures/files"
KINDS: dict[str, Kind] = {".onnx": "onnx", ".tflite": "litert", ".pt2": "torch"}
WEIGHT = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
EIGHTS = np.arange(-4, 8, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        *(("digits.onnx", 32), ("digits.tflite", 32), ("digits.pt2", 32)),
        *(("digits.qdq.onnx", 8), ("digits.qoperator.onnx", 8)),
        *(("digits.int8.tflite", 8), ("digits.int8.pt2", 8)),
    ],
)
def test_every_toolchains_file_says_its_bits(name: str, bits: int) -> None:
    path = FILES / name
    assert weight_bits(read(path, KINDS[path.suffix])) == bits


def of(values: np.ndarray[Any, Any], *, quantised: int = 0, **stored: Any) -> int | None:
    """Bits of a network of one product with a constant, moved and maybe rounded in the file."""
    builder = Builder(Port("x", (None, 3), "float32"))
    name = builder.constant("w", np.ascontiguousarray(values.T), **stored)
    name = builder.add(Transpose(inputs=(name,), output="t", order=(1, 0)))
    if quantised:
        zero = np.asarray(0, np.int64)
        grid = Quantiser(np.asarray(0.1, np.float32), zero, None, 0, 2**quantised - 1)
        name = builder.add(Quantise(inputs=(name,), output="q", quantiser=grid))
    builder.add(MatMul(inputs=("x", name), output="y"))
    return weight_bits(builder.finish(Port("y", (None, 4), "float32")))


def test_floats_need_what_holds_them() -> None:
    assert of(WEIGHT) == 32
    assert of(WEIGHT.astype(np.float16).astype(np.float32)) == 16
    brain = (WEIGHT.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert of(brain * np.float32(2.0**100)) == 16


def test_codes_need_what_tells_them_apart() -> None:
    step = np.asarray(0.5, np.float32)
    assert of(EIGHTS * step, step=step) == 4
    assert of(np.zeros((3, 4), np.float32), step=step) == 1
    assert of(EIGHTS * step, bits=8) == 8
    assert of(EIGHTS, step=np.asarray(0, np.float32)) == 32
    assert of(np.full((3, 4), np.inf, np.float32), step=step) == 32


def test_floats_that_the_file_rounds_need_the_quantisers_bits() -> None:
    assert of(WEIGHT, quantised=8) == 8
    assert of(WEIGHT, quantised=4) == 4


def test_a_computed_weight_is_a_float_and_no_weight_is_unknown() -> None:
    builder = Builder(Port("x", (None, 3), "float32"))
    builder.constant("w", EIGHTS, step=np.asarray(1, np.float32))
    builder.add(Unary(inputs=("w",), output="e", function="exp"))
    builder.add(MatMul(inputs=("x", "e"), output="y"))
    assert weight_bits(builder.finish(Port("y", (None, 4), "float32"))) == 32
    builder = Builder(Port("x", (None, 3), "float32"))
    builder.add(Unary(inputs=("x",), output="y", function="relu"))
    assert weight_bits(builder.finish(Port("y", (None, 3), "float32"))) is None
