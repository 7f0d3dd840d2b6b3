"""Quantised ONNX files: the twin's logits are those of ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from robench.graph import GraphTwin, UnknownOperator, output_quantisers, read
from robench.graph.table import Clip, Conv, Quantise
from tests.graph.onnx_models import MICROSOFT, Array, model, node, saved, small_cnn

runtime = pytest.importorskip("onnxruntime")
COLOURS = torch.rand(40, 3, 1, 1, generator=torch.Generator().manual_seed(0))
IMAGES = COLOURS * torch.rand(40, 3, 12, 12, generator=torch.Generator().manual_seed(1))


def in_runtime(path: Path, x: Array, optimised: bool = True) -> Array:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = (
        levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    )
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One network quantised in each way that onnxruntime.quantization has."""
    from onnxruntime import quantization

    folder = tmp_path_factory.mktemp("quantised")
    plain = saved(small_cnn(), folder)

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.parts: Iterator[dict[str, Any]] = iter([{"x": IMAGES[:16].numpy()}])

        def get_next(self) -> dict[str, Any] | None:
            return next(self.parts, None)

    formats, types = quantization.QuantFormat, quantization.QuantType
    ways = {
        "QDQ": (formats.QDQ, True, types.QUInt8, types.QInt8),
        "QDQ s8s8": (formats.QDQ, True, types.QInt8, types.QInt8),
        "QDQ 16": (formats.QDQ, True, types.QUInt16, types.QInt8),
        "QOperator": (formats.QOperator, False, types.QUInt8, types.QUInt8),
        "QOperator per channel": (formats.QOperator, True, types.QUInt8, types.QInt8),
    }
    made = {"float": plain}
    logging.disable()
    for name, (form, along, activations, weights) in ways.items():
        made[name] = folder / f"{name}.onnx"
        quantization.quantize_static(
            str(plain), str(made[name]), Calibration(), quant_format=form, per_channel=along,
            activation_type=activations, weight_type=weights,
        )  # fmt: skip
    logging.disable(logging.NOTSET)
    return made


WAYS = ["float", "QDQ", "QDQ s8s8", "QDQ 16", "QOperator", "QOperator per channel"]


@pytest.mark.parametrize("way", WAYS)
def test_the_twin_answers_as_the_runtime_does(files: dict[str, Path], way: str) -> None:
    graph = read(files[way], "onnx")
    x = IMAGES.numpy()
    theirs, plain = in_runtime(files[way], x), in_runtime(files[way], x, optimised=False)
    mine = GraphTwin(graph)(IMAGES).numpy()
    steps = [line.quantiser for line in graph.operators if isinstance(line, Quantise)]
    assert bool(steps) == (way != "float")
    one = float(steps[-1].scale) if steps else 1e-3 * theirs.std()
    assert abs(mine - theirs).max() <= max(2 * abs(theirs - plain).max(), one) + 1e-6
    assert (mine.argmax(1) == theirs.argmax(1)).all()
    assert theirs.std(0).max() > 5 * one
    assert bool(output_quantisers(graph)) == (way != "float")


def test_codes_are_only_followed_and_no_line_is_left_over(files: dict[str, Path]) -> None:
    kinds = {type(line).__name__ for line in read(files["QDQ"], "onnx").operators}
    made = {"Quantise", "Conv", "Binary", "MaxPool", "Reduce", "Reshape", "MatMul"}
    assert made <= kinds <= made | {"Unary"}
    convs = [line for line in read(files["QOperator"], "onnx").operators if isinstance(line, Conv)]
    assert all(line.exact for line in convs)


def grids(**scales: tuple[float, int]) -> dict[str, Array]:
    """Scale `as` and zero point `az` of each name `a`, uint8."""
    made: dict[str, Array] = {}
    for name, (scale, zero) in scales.items():
        made[f"{name}s"], made[f"{name}z"] = np.float32(scale), np.uint8(zero)
    return made


RNG = np.random.default_rng(3)
CODES = RNG.integers(0, 256, (6, 4), np.uint8)
KERNEL = RNG.integers(0, 256, (5, 4, 3, 3), np.uint8)
BIAS = RNG.integers(-999, 999, 4).astype(np.int32)
WEIGHTED, ALONE = "xq xs xz w ws wz ys yz", "xq xs xz ys yz"
IMAGE, ROW = (3, 4, 6, 6), (3, 6)
SHARE = grids(y=(1 / 256, 0))
OPERATORS: list[tuple[str, str, tuple[int, ...], dict[str, Array], dict[str, Any]]] = [
    ("QLinearConv", WEIGHTED, IMAGE, {"w": KERNEL}, {"pads": [1, 1, 1, 1]}),
    ("QLinearMatMul", WEIGHTED, IMAGE, {"w": CODES}, {}),
    ("QGemm", "xq xs xz w ws wz b ys yz", ROW, {"w": CODES, "b": BIAS}, {}),
    ("QGemm", "xq xs xz w ws wz - ys yz", ROW, {"w": CODES.T.copy()}, {"transB": 1}),
    ("QLinearAdd", WEIGHTED, IMAGE, {"w": CODES[:, 0]}, {}),
    ("QLinearAdd", "xq xs xz xq xs xz ys yz", IMAGE, {}, {}),
    ("QLinearMul", "xq xs xz xq xs xz ys yz", IMAGE, {}, {}),
    ("QLinearSigmoid", ALONE, IMAGE, SHARE, {}),
    ("QLinearLeakyRelu", ALONE, IMAGE, {}, {"alpha": 0.1}),
    ("QLinearSoftmax", ALONE, IMAGE, SHARE, {"opset": 13}),
    ("QLinearGlobalAveragePool", ALONE, IMAGE, grids(y=(0.01, 90)), {}),
    ("QLinearAveragePool", ALONE, IMAGE, {}, {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("QLinearConcat", "ys yz xq xs xz xq xs xz", IMAGE, {}, {"axis": 1}),
]


@pytest.mark.parametrize(("kind", "inputs", "shape", "constants", "attributes"), OPERATORS)
def test_an_operator_on_codes_is_the_runtime_s(
    kind: str,
    inputs: str,
    shape: tuple[int, ...],
    constants: dict[str, Array],
    attributes: dict[str, Any],
    tmp_path: Path,
) -> None:
    domain = "" if kind in ("QLinearConv", "QLinearMatMul") else MICROSOFT
    nodes = [
        node("QuantizeLinear", "x xs xz", "xq"),
        node(kind, inputs, "yq", domain=domain, **attributes),
        node("DequantizeLinear", "yq ys yz"),
    ]
    # One sum in a convolution is worth a fraction of a step, so that codes fill their range.
    constants = {**grids(x=(0.02, 100), y=(0.03, 90), w=(0.001, 120)), **constants}
    path = saved(model(nodes, ("n", *shape[1:]), constants), tmp_path)
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    theirs, mine = in_runtime(path, x), GraphTwin(read(path, "onnx"))(torch.from_numpy(x)).numpy()
    step = float(constants["ys"])
    # Kernels round ties, or a table of 256 sigmoids, in their own way: one step, and seldom.
    assert abs(mine - theirs).max() <= 1.01 * step
    assert (abs(mine - theirs) < 0.01 * step).mean() > 0.95
    assert theirs.std() > step


def test_int4_in_blocks_and_dequantising_on_another_grid(tmp_path: Path) -> None:
    import ml_dtypes

    weight = RNG.integers(-8, 8, (4, 6)).astype(ml_dtypes.int4)
    scales = RNG.random((2, 6)).astype(np.float32) + 0.1
    constants = {**grids(x=(0.02, 100), other=(0.04, 110)), "w": weight, "s": scales}
    nodes = [
        node("QuantizeLinear", "x xs xz", "xq"),
        node("DequantizeLinear", "xq others otherz", "d"),
        node("DequantizeLinear", "w s", "wd", axis=0, block_size=2),
        node("MatMul", "d wd"),
    ]
    made = model(nodes, ("n", 4), constants, opset=21)
    x = RNG.standard_normal((5, 4)).astype(np.float32)
    expected = ReferenceEvaluator(made).run(None, {"x": x})[0]
    twin = GraphTwin(read(saved(made, tmp_path), "onnx"))
    np.testing.assert_allclose(twin(torch.from_numpy(x)).numpy(), expected, atol=1e-5)


def test_an_input_of_bytes_holds_its_codes(tmp_path: Path) -> None:
    nodes = [node("DequantizeLinear", "x xs xz")]
    made = model(nodes, ("n", 4), grids(x=(0.02, 100)), input_type=onnx.TensorProto.UINT8)
    twin = GraphTwin(read(saved(made, tmp_path), "onnx"))
    x = torch.tensor([[0.0, 50, 100, 255]])
    torch.testing.assert_close(twin(x), (x - 100) * 0.02)


def test_an_output_of_codes_says_what_they_stand_for(tmp_path: Path) -> None:
    nodes = [node("QuantizeLinear", "x xs xz")]
    made = model(nodes, ("n", 4), grids(x=(0.02, 100)), output_type=onnx.TensorProto.UINT8)
    graph = read(saved(made, tmp_path), "onnx")
    assert (graph.output.dtype, graph.output.zero_point) == ("uint8", 100)
    assert graph.output.scale == pytest.approx(0.02)
    torch.testing.assert_close(
        GraphTwin(graph)(torch.full((1, 4), 0.033)), torch.full((1, 4), 0.04)
    )


def test_a_clip_between_quantisers_keeps_its_bounds_in_codes(tmp_path: Path) -> None:
    constants = {**grids(x=(0.05, 100)), "low": np.float32(0), "high": np.float32(6)}
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("DequantizeLinear", "q xs xz", "d"),
        node("Clip", "d low high"),
    ]
    graph = read(saved(model(nodes, ("n", 4), constants), tmp_path), "onnx")
    assert [type(line) for line in graph.operators] == [Quantise, Clip]
    x = torch.tensor([[-1.0, 0.07, 5.9, 7.0]])
    torch.testing.assert_close(GraphTwin(graph)(x), torch.tensor([[0.0, 0.05, 5.9, 6.0]]))


@pytest.mark.parametrize("kind", ["DynamicQuantizeLinear", "ConvInteger", "NonMaxSuppression"])
def test_what_is_not_known_is_named(kind: str, tmp_path: Path) -> None:
    path = saved(
        model([node(kind, "x"), node("Loop", "y", "z")], ("n", 4), {}, output="z"), tmp_path
    )
    with pytest.raises(UnknownOperator, match=f"{kind}.*Loop|Loop.*{kind}"):
        read(path, "onnx")
