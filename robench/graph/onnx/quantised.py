"""ONNX's quantised operators, as lines of the table: real numbers in, a quantiser behind.

Codes are followed by name: where the file has codes, the table has what they stand for, and
`DequantizeLinear` has nothing left to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.onnx.file import Array, Node
from robench.graph.onnx.fold import from_front
from robench.graph.onnx.nodes import average_pool, convolution, height_width, translates, with_batch
from robench.graph.onnx.state import CODES, Known, Live, State, grid
from robench.graph.table import (
    Binary,
    Concat,
    LeakyRelu,
    MatMul,
    Quantiser,
    Reduce,
    Softmax,
    Transpose,
    Unary,
)

MICROSOFT = "com.microsoft."


def _grid(state: State, node: Node, place: int, axis: int | None = None) -> Quantiser:
    """The grid of the scale at a place and the zero point behind it."""
    scale = state.array(node, place)
    zero = state.maybe(node, place + 1)
    kind = "uint8" if zero is None else str(zero.dtype)
    if kind not in CODES:
        raise UnknownOperator([f"{node.title} of {kind}"])
    return grid(scale, np.zeros(scale.shape, np.int64) if zero is None else zero, axis, kind)


def _axis(state: State, node: Node, scale: Array, place: int = 0) -> int | None:
    """The axis along which scales run, where there are several."""
    if scale.size == 1:
        return None
    if node.attributes.get("block_size", 0):
        raise UnknownOperator([f"{node.title} in blocks"])
    axis = from_front(node.attributes.get("axis", 1), state.axes(node, place))
    if state.shape(state.get(node, place))[axis] != scale.size:
        raise UnreadableFile(f"expected a scale for each place of axis {axis} in {node.title}")
    return axis


@translates("QuantizeLinear", MICROSOFT + "QuantizeLinear")
def _quantize(state: State, node: Node) -> None:
    scale = state.array(node, 1)
    quantiser = _grid(state, node, 1, _axis(state, node, scale))
    if not node.given(2) and node.attributes.get("output_dtype", 0):
        from onnx import helper

        kind = str(helper.tensor_dtype_to_np_dtype(node.attributes["output_dtype"]))
        if kind not in CODES:
            raise UnknownOperator([f"{node.title} to {kind}"])
        quantiser = grid(scale, np.zeros(scale.shape, np.int64), quantiser.axis, kind)
    state.quantise(state.real(node, 0), quantiser, node.outputs[0])


@translates("DequantizeLinear", MICROSOFT + "DequantizeLinear")
def _dequantize(state: State, node: Node) -> None:
    value = state.get(node, 0)
    if isinstance(value, Known):
        state.tensors[node.outputs[0]] = dequantised(state, node, 0, 1)
        return
    quantiser = _grid(state, node, 1, _axis(state, node, state.array(node, 1)))
    state.tensors[node.outputs[0]] = Live(state.regrid(value, quantiser).name)


def dequantised(
    state: State, node: Node, place: int, scale_place: int, axis: int | None = None
) -> Known:
    """A constant's codes made real, its step kept. `axis`: the scales', if not the node's."""
    codes, scale = state.array(node, place), state.array(node, scale_place).astype(np.float32)
    zero = state.maybe(node, scale_place + 1)
    zero = np.zeros(scale.shape, np.int64) if zero is None else zero.astype(np.int64)
    if scale.size == zero.size == 1:
        scale, zero = scale.reshape(()), zero.reshape(())
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0) or scale.shape != zero.shape:
        raise UnreadableFile(f"expected positive scales, each with its zero point, in {node.title}")
    block = node.attributes.get("block_size", 0)
    if block:
        axis = from_front(node.attributes.get("axis", 1), codes.ndim)
        places = np.arange(codes.shape[axis]) // block
        if scale.ndim != codes.ndim or len(places) == 0 or places[-1] >= scale.shape[axis]:
            raise UnreadableFile(f"expected a scale for each block in {node.title}")
        step, zero = np.take(scale, places, axis), np.take(zero, places, axis)
    elif scale.size == 1:
        step = scale
    else:
        axis = from_front(node.attributes.get("axis", 1) if axis is None else axis, codes.ndim)
        if scale.shape != (codes.shape[axis],):
            raise UnreadableFile(f"expected a scale for each place of axis {axis} in {node.title}")
        rest = (1,) * (codes.ndim - axis - 1)
        step, zero = scale.reshape(-1, *rest), zero.reshape(-1, *rest)
    real = (codes.astype(np.int64) - zero).astype(np.float32) * step
    return Known.alike(real.astype(np.float32), step)


def _codes(state: State, node: Node, place: int) -> str:
    """Codes at a place, their scale and zero point behind it, as real numbers of the table."""
    value = state.get(node, place)
    if isinstance(value, Known):
        return state.constant(dequantised(state, node, place, place + 1), node)
    return state.regrid(value, _grid(state, node, place + 1)).name


@translates("QLinearConv")
def _conv(state: State, node: Node) -> None:
    size = height_width(state, node)
    x = _codes(state, node, 0)
    weight = state.constant(dequantised(state, node, 3, 4, axis=0), node)
    inputs = (x, weight, *_bias(state, node, 8, 1, 4))
    line = replace(convolution(state, node, inputs, size, exact=True), output=state.fresh("sum"))
    state.quantise(state.builder.add(line), _grid(state, node, 6), node.outputs[0])


def _bias(state: State, node: Node, place: int, x_scale: int, weight_scale: int) -> tuple[str, ...]:
    """A bias, stored in steps of both scales together."""
    if not node.given(place):
        return ()
    step = np.float32(state.array(node, x_scale)) * state.array(node, weight_scale).astype(
        np.float32
    )
    codes = state.array(node, place)
    if codes.ndim != 1 or step.size not in (1, codes.size):
        raise UnreadableFile(f"expected a bias for each output of {node.title}")
    step = step.reshape(-1) if step.size > 1 else step.reshape(())
    real = codes.astype(np.float32) * step
    return (state.constant(Known.alike(real.astype(np.float32), step), node),)


@translates("QLinearMatMul")
def _matmul(state: State, node: Node) -> None:
    a, b = _codes(state, node, 0), _codes_b(state, node)
    line = MatMul(inputs=(a, b), output=state.fresh("sum"), exact=True)
    state.quantise(state.builder.add(line), _grid(state, node, 6), node.outputs[0])


def _codes_b(state: State, node: Node) -> str:
    """The second matrix, whose scales may run along its columns."""
    value = state.get(node, 3)
    if isinstance(value, Known):
        last = len(state.shape(value)) - 1
        return state.constant(dequantised(state, node, 3, 4, axis=last), node)
    return _codes(state, node, 3)


@translates(MICROSOFT + "QGemm")
def _gemm(state: State, node: Node) -> None:
    """Alpha * a @ b + c; without an output's scale, the sums leave as real numbers."""
    if node.attributes.get("alpha", 1.0) != 1.0 or not isinstance(state.get(node, 3), Known):
        raise UnknownOperator([f"{node.title} with a factor, or of two computed matrices"])
    turned = node.attributes.get("transB", 0)
    known = dequantised(state, node, 3, 4, axis=0 if turned else 1)
    if turned:
        step = known.step
        step = step if step is None or step.size == 1 else step.T
        known = Known.alike(np.ascontiguousarray(known.values[0].T), step)
    a = _codes(state, node, 0)
    if node.attributes.get("transA", 0):
        a = state.put(Transpose(inputs=(a,), output="", order=(1, 0)))
    inputs = (a, state.constant(known, node), *_bias(state, node, 6, 1, 4))
    if not node.given(7):
        state.make(MatMul(inputs=inputs, output=node.outputs[0], exact=True))
        return
    line = MatMul(inputs=inputs, output=state.fresh("sum"), exact=True)
    state.quantise(state.builder.add(line), _grid(state, node, 7), node.outputs[0])


@translates(MICROSOFT + "QLinearAdd", MICROSOFT + "QLinearMul")
def _binary(state: State, node: Node) -> None:
    function: Literal["add", "multiply"] = "add" if node.kind == "QLinearAdd" else "multiply"
    inputs = (_codes(state, node, 0), _codes(state, node, 3))
    line = Binary(inputs=inputs, output="", function=function)
    state.quantise(state.put(line), _grid(state, node, 6), node.outputs[0])


@translates(MICROSOFT + "QLinearSigmoid")
def _sigmoid(state: State, node: Node) -> None:
    line = Unary(inputs=(_codes(state, node, 0),), output="", function="sigmoid")
    state.quantise(state.put(line), _grid(state, node, 3), node.outputs[0])


@translates(MICROSOFT + "QLinearLeakyRelu")
def _leaky(state: State, node: Node) -> None:
    slope = node.attributes.get("alpha", 0.01)
    line = LeakyRelu(inputs=(_codes(state, node, 0),), output="", slope=slope)
    state.quantise(state.put(line), _grid(state, node, 3), node.outputs[0])


@translates(MICROSOFT + "QLinearSoftmax")
def _softmax(state: State, node: Node) -> None:
    count = state.axes(node)
    axis = from_front(node.attributes.get("axis", -1), count)
    if node.attributes.get("opset", 13) < 13 and axis != count - 1:
        raise UnknownOperator([f"{node.title} of opset {node.attributes.get('opset')}"])
    line = Softmax(inputs=(_codes(state, node, 0),), output="", axis=axis)
    state.quantise(state.put(line), _grid(state, node, 3), node.outputs[0])


def _first_channels(node: Node) -> None:
    if node.attributes.get("channels_last", 0):
        raise UnknownOperator([f"{node.title} of channels last"])


@translates(MICROSOFT + "QLinearGlobalAveragePool")
def _global_pool(state: State, node: Node) -> None:
    _first_channels(node)
    axes = tuple(range(2, state.axes(node)))
    line = Reduce(
        inputs=(_codes(state, node, 0),), output="", function="mean", axes=axes, keep=True
    )
    state.quantise(state.put(line), _grid(state, node, 3), node.outputs[0])


@translates(MICROSOFT + "QLinearReduceMean")
def _mean(state: State, node: Node) -> None:
    count = state.axes(node)
    axes = node.attributes.get("axes") or range(count)
    along = tuple(sorted(from_front(axis, count) for axis in axes))
    keep = bool(node.attributes.get("keepdims", 1))
    line = Reduce(
        inputs=(_codes(state, node, 0),), output="", function="mean", axes=along, keep=keep
    )
    state.quantise(state.put(line), _grid(state, node, 3), node.outputs[0])


@translates(MICROSOFT + "QLinearAveragePool")
def _average_pool(state: State, node: Node) -> None:
    _first_channels(node)
    line = replace(average_pool(state, node), inputs=(_codes(state, node, 0),))
    state.quantise(state.put(line), _grid(state, node, 3), node.outputs[0])


@translates(MICROSOFT + "QLinearConcat")
def _concat(state: State, node: Node) -> None:
    """Output's scale and zero point first, then each tensor with its own."""
    names = [_codes(state, node, place) for place in range(2, len(node.inputs), 3)]
    axis = from_front(node.attributes.get("axis", 0), state.axes(node, 2))
    line = Concat(inputs=tuple(with_batch(state, names, axis)), output="", axis=axis)
    state.quantise(state.put(line), _grid(state, node, 0), node.outputs[0])
