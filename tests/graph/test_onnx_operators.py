"""Each ONNX operator is read as what ONNX's own reference computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from robench.graph import GraphTwin, UnknownOperator, read
from tests.graph.onnx_models import Array, model, node, saved

RNG = np.random.default_rng(0)
IMAGE = (2, 4, 6, 6)
ROW = (2, 6)


def real(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def whole(*values: int) -> Array:
    return np.asarray(values, np.int64)


def case(kind: str, inputs: str = "x", constants: dict[str, Array] | None = None,
         shape: tuple[int, ...] = IMAGE, opset: int = 20, **attributes: Any) -> Any:  # fmt: skip
    words = [kind, *(f"{name}={value}" for name, value in attributes.items())]
    made = model(
        [node(kind, inputs, **attributes)], ("n", *shape[1:]), constants or {}, opset=opset
    )
    return pytest.param(made, shape, id=" ".join(words).replace("/", ""))


UNARY = (
    "Abs", "Erf", "Exp", "HardSwish", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid",
    "Sign", "Sin", "Cos", "Softplus", "Softsign", "Tanh", "Floor", "Ceil", "Identity", "Gelu",
    "HardSigmoid", "Elu", "LeakyRelu", "GlobalAveragePool", "GlobalMaxPool", "Softmax",
    "LogSoftmax", "Flatten", "Transpose", "LpNormalization",
)  # fmt: skip
CASES = [
    *(case(kind) for kind in UNARY),
    case("Gelu", approximate="tanh"),
    case("Conv", "x w b", {"w": real(3, 4, 3, 3), "b": real(3)}, pads=[1, 0, 2, 1], strides=[2, 1]),
    case("Conv", "x w", {"w": real(4, 2, 3, 3)}, group=2, dilations=[2, 1], auto_pad="SAME_UPPER"),
    case("Conv", "x w", {"w": real(4, 4, 2, 2)}, auto_pad="SAME_LOWER", strides=[2, 2]),
    case("ConvTranspose", "x w b", {"w": real(4, 3, 3, 3), "b": real(3)}, strides=[2, 2],
         pads=[1, 1, 1, 1], output_padding=[1, 1]),
    case("Gemm", "x w b", {"w": real(6, 3), "b": real(3)}, ROW),
    case("Gemm", "x w b", {"w": real(3, 6), "b": real(1, 3)}, ROW, transB=1, alpha=0.5, beta=2.0),
    case("MatMul", "x w", {"w": real(6, 5)}),
    case("Einsum", "x w", {"w": real(6, 5)}, equation="nchw, wk -> nkch"),
    case("Add", "x w", {"w": real(4, 1, 1)}),
    case("Sub", "w x", {"w": real(6)}),
    case("Mul", "x x"),
    case("Div", "x w", {"w": real(1, 4, 1, 1)}),
    case("Pow", "x w", {"w": np.float32(2)}),
    case("Max", "x w v", {"w": real(6), "v": real(1)}),
    case("Min", "x w", {"w": real(6)}),
    case("Sum", "x w x", {"w": real(6)}),
    case("Mean", "x w", {"w": real(6)}),
    case("PRelu", "x w", {"w": real(4, 1, 1)}),
    case("Clip", "x low high", {"low": np.float32(-0.5), "high": np.float32(0.7)}),
    case("Clip", "x - high", {"high": np.float32(0.7)}),
    case("BatchNormalization", "x s b m v",
         {"s": real(4), "b": real(4), "m": real(4), "v": real(4) ** 2}),
    case("LayerNormalization", "x s b", {"s": real(6), "b": real(6)}),
    case("LayerNormalization", "x s", {"s": real(6, 6)}, axis=2),
    case("InstanceNormalization", "x s b", {"s": real(4), "b": real(4)}),
    case("GroupNormalization", "x s b", {"s": real(4), "b": real(4)}, opset=21, num_groups=2),
    case("ReduceMean", "x axes", {"axes": whole(-1, 2)}, keepdims=0),
    case("ReduceSum", "x axes", {"axes": whole(1)}),
    case("ReduceMax", "x axes", {"axes": whole(2, 3)}),
    case("ReduceMin", "x axes", {"axes": whole(3)}),
    case("ReduceL2", "x axes", {"axes": whole(1)}),
    case("ReduceMean", opset=13, axes=[2, 3]),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    case("MaxPool", kernel_shape=[2, 2], dilations=[2, 2]),
    case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    case("AveragePool", kernel_shape=[3, 2], pads=[1, 0, 0, 1], count_include_pad=1),
    case("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    case("Reshape", "x shape", {"shape": whole(0, -1)}),
    case("Reshape", "x shape", {"shape": whole(-1, 2, 18)}),
    case("Squeeze", "x axes", {"axes": whole(2)}, (2, 4, 1, 6)),
    case("Unsqueeze", "x axes", {"axes": whole(1, -1)}),
    case("Transpose", perm=[0, 2, 3, 1]),
    case("Concat", "x x x", axis=1),
    case("Slice", "x s e a t", {"s": whole(1, -3), "e": whole(4, 99), "a": whole(2, -1),
                                "t": whole(2, 1)}),
    case("Gather", "x i", {"i": whole(-1, 0)}, axis=3),
    case("Gather", "x i", {"i": np.asarray(2, np.int64)}, axis=1),
    case("Pad", "x p v", {"p": whole(0, 0, 1, 2, 0, 1, 0, 1), "v": np.float32(0.5)}),
    case("Pad", "x p", {"p": whole(0, 0, 1, 2, 0, 0, 3, 1)}, mode="reflect"),
    case("Pad", "x p - a", {"p": whole(1, 2), "a": whole(3)}, mode="edge"),
    case("Expand", "x shape", {"shape": whole(1, 4, 6, 6)}, (2, 4, 1, 6)),
    case("Where", "m x w", {"m": RNG.random((6, 6)) > 0.5, "w": np.float32(3)}),
    case("DepthToSpace", blocksize=2, mode="CRD"),
    case("DepthToSpace", blocksize=2),
    case("SpaceToDepth", blocksize=2),
    case("Resize", "x - f", {"f": np.asarray([1, 1, 2, 2], np.float32)}, mode="nearest",
         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    case("Resize", "x - - s", {"s": whole(2, 4, 9, 4)}, mode="linear"),
]  # fmt: skip


def close(made: onnx.ModelProto, shape: tuple[int, ...], folder: Path) -> None:
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    expected = _reference(made, x)
    got = GraphTwin(read(saved(made, folder), "onnx"))(torch.from_numpy(x)).numpy()
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize(("made", "shape"), CASES)
def test_an_operator_is_what_the_reference_computes(
    made: onnx.ModelProto, shape: tuple[int, ...], tmp_path: Path
) -> None:
    close(made, shape, tmp_path)


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16"])
def test_a_cast_to_a_narrower_float_rounds(kind: str, tmp_path: Path) -> None:
    to, back = getattr(onnx.TensorProto, kind), onnx.TensorProto.FLOAT
    nodes = [node("Cast", "x", "narrow", to=to), node("Cast", "narrow", to=back)]
    made = model(nodes, ("n", 5), {})
    x = np.array([[1.001, -3.1415927, 1e-8, 7e4, 0.0]], np.float32)
    leaf = torch.from_numpy(x).requires_grad_()
    out = GraphTwin(read(saved(made, tmp_path), "onnx"))(leaf)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out.detach().numpy(), _reference(made, x))
    out.sum().backward()
    # Of what has vanished or overflown, no gradient may lead a search.
    kept = [1.0, 1.0, 0.0, 0.0, 1.0] if kind == "FLOAT16" else [1.0] * 5
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [kept]


def _reference(made: onnx.ModelProto, x: Array) -> Array:
    found: Array = ReferenceEvaluator(made).run(None, {"x": x})[0]
    return found


def test_double_numbers_are_no_float32(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "wide", to=11), node("Cast", "wide", to=1)]
    with pytest.raises(UnknownOperator, match="float64"):
        read(saved(model(nodes, ("n", 5), {}), tmp_path), "onnx")


@pytest.mark.parametrize("order", [1, 2])
def test_rows_of_nothing_stay_so_when_normalised(order: int, tmp_path: Path) -> None:
    made = model([node("LpNormalization", "x", p=order)], ("n", 3), {})
    out = GraphTwin(read(saved(made, tmp_path), "onnx"))(torch.zeros(2, 3))
    assert torch.equal(out, torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("kind", "inputs", "constants", "attributes"),
    [
        ("Dropout", "x rate on", {"rate": np.float32(0.5), "on": np.asarray(True)}, {}),
        (
            "Resize", "x - - s", {"s": whole(2, 4, 12, 18)},
            {"mode": "linear", "keep_aspect_ratio_policy": "not_larger"},
        ),
    ],
)  # fmt: skip
def test_attributes_that_change_an_operator_make_it_unknown(
    kind: str, inputs: str, constants: dict[str, Array], attributes: Any, tmp_path: Path
) -> None:
    made = model([node(kind, inputs, **attributes)], ("n", 4, 6, 6), constants)
    with pytest.raises(UnknownOperator, match=kind):
        read(saved(made, tmp_path), "onnx")


def test_a_split_is_several_slices(tmp_path: Path) -> None:
    nodes = [node("Split", "x parts", "a b", axis=1), node("Concat", "b a", axis=1)]
    close(model(nodes, ("n", 4, 6, 6), {"parts": whole(1, 3)}), IMAGE, tmp_path)


def test_sums_over_shapes_are_folded_with_the_batch_free(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Mul", "n four", "m"),
        node("Unsqueeze", "m axis", "u"),
        node("Concat", "u rest", "shape", axis=0),
        node("Reshape", "x shape"),
    ]
    constants = {"zero": np.asarray(0), "four": np.asarray(4), "axis": whole(0), "rest": whole(36)}
    made = model(nodes, ("n", 4, 6, 6), constants)
    close(made, IMAGE, tmp_path)
    assert [type(line).__name__ for line in read(saved(made, tmp_path), "onnx").operators] == [
        "Reshape"
    ]


def test_a_file_for_one_image_at_a_time_takes_any_number(tmp_path: Path) -> None:
    constants = {"flat": whole(1, -1), "token": real(1, 4), "w": real(144, 4)}
    nodes = [
        node("Reshape", "x flat", "f"),
        node("MatMul", "f w", "m"),
        node("Concat", "token m", axis=1),
    ]
    path = saved(model(nodes, (1, 4, 6, 6), constants), tmp_path)
    twin, images = GraphTwin(read(path, "onnx")), torch.rand(3, 4, 6, 6)
    alone = torch.cat([twin(image[None]) for image in images])
    torch.testing.assert_close(twin(images), alone)


def test_a_class_token_for_each_image_is_one_row_repeated(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "n", end=1),
        node("Concat", "n rest", "shape", axis=0),
        node("Expand", "token shape", "tokens"),
        node("Concat", "tokens x", axis=1),
    ]
    constants = {"rest": whole(1, 6), "token": real(1, 1, 6)}
    close(model(nodes, ("n", 4, 6), constants), (2, 4, 6), tmp_path)


def test_flattening_by_an_index_of_every_place_is_a_reshape(tmp_path: Path) -> None:
    """Torch 2.15 exports `x.flatten(1)` so behind a mean that keeps its axes."""
    nodes = [
        node("Reshape", "x minus", "flat"),
        node("Shape", "x", "n", end=1),
        node("Squeeze", "n", "count"),
        node("Range", "zero count one", "images"),
        node("Unsqueeze", "images last", "rows"),
        node("Mul", "rows four", "starts"),
        node("Add", "starts places", "index"),
        node("Gather", "flat index", axis=0),
    ]
    constants = {
        "minus": whole(-1), "zero": np.asarray(0), "one": np.asarray(1), "last": whole(1),
        "four": np.asarray(4), "places": whole(0, 1, 2, 3),
    }  # fmt: skip
    close(model(nodes, ("n", 4, 1, 1), constants), (2, 4, 1, 1), tmp_path)


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    constants = {"w": real(6, 3).astype(np.float16)}
    nodes = [
        node("Cast", "x", "h", to=onnx.TensorProto.FLOAT16),
        node("MatMul", "h w", "m"),
        node("Cast", "m", to=onnx.TensorProto.FLOAT),
    ]
    path = saved(model(nodes, ("n", 6), constants), tmp_path)
    x = torch.rand(2, 6)
    expected = x.half().float() @ torch.from_numpy(constants["w"]).float()
    torch.testing.assert_close(GraphTwin(read(path, "onnx"))(x), expected)
