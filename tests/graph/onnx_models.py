"""Small ONNX models, written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
MICROSOFT = "com.microsoft"


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str | None],
    constants: Mapping[str, Array],
    *,
    opset: int = 18,
    output: str = "y",
    output_type: int = onnx.TensorProto.FLOAT,
    input_type: int = onnx.TensorProto.FLOAT,
    rank: int | None = None,
) -> onnx.ModelProto:
    """A model from `x` to `output`."""
    out = None if rank is None else [None] * rank
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info("x", input_type, list(shape))],
        [helper.make_tensor_value_info(output, output_type, out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """A node; names are separated by spaces, `-` leaves an input out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), **attributes)


def saved(made: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def small_cnn(seed: int = 0) -> onnx.ModelProto:
    """Convolutions, a depthwise one, a residual sum, pools and a matrix: x (N, 3, 12, 12) to y."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {
        "w1": weights(8, 3, 3, 3), "b1": weights(8), "w2": weights(8, 1, 3, 3), "b2": weights(8),
        "w3": weights(8, 8, 1, 1), "b3": weights(8), "w4": weights(10, 8), "b4": 0 * weights(10),
    }  # fmt: skip
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2 b2", "c2", pads=[1, 1, 1, 1], group=8),
        node("Relu", "c2", "r2"),
        node("Conv", "r2 w3 b3", "c3"),
        node("Add", "c3 r1", "a"),
        node("Relu", "a", "r3"),
        node("MaxPool", "r3", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w4 b4", "y", transB=1),
    ]
    return model(nodes, ["batch", 3, 12, 12], constants, rank=2)
