"""ONNX's float operators, as lines of the table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from robench.graph.build import BATCHES, size_of
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.onnx.file import Node
from robench.graph.onnx.fold import axes_of, from_front, parts_of, slices
from robench.graph.onnx.state import Known, Live, State, full_rank, same, strides
from robench.graph.table import (
    AveragePool,
    Binary,
    BinaryFunction,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Einsum,
    Elu,
    Expand,
    Gather,
    GroupNorm,
    HardSigmoid,
    LayerNorm,
    LeakyRelu,
    MatMul,
    MaxPool,
    Normalise,
    Operator,
    Pad,
    Reduce,
    ReduceFunction,
    Reshape,
    Resize,
    Slice,
    Softmax,
    Transpose,
    Unary,
    UnaryFunction,
    Where,
)

Translate = Callable[[State, Node], None]
NODES: dict[str, Translate] = {}
"""What makes lines of the table of a node, by the operator's name and domain."""

FUNCTIONS: dict[str, UnaryFunction] = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "HardSwish": "hard_swish", "Log": "log", "Mish": "mish", "Neg": "negate",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid",
    "Sign": "sign", "Sin": "sin", "Softplus": "softplus", "Softsign": "softsign", "Sqrt": "sqrt",
    "Tanh": "tanh", "com.microsoft.Gelu": "gelu",
}  # fmt: skip
NARROW: dict[str, UnaryFunction] = {"float16": "float16", "bfloat16": "bfloat16"}
"""By numpy's word for a float type narrower than float32, what rounds to it."""
PAIRS: dict[str, BinaryFunction] = {
    "Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide", "Pow": "power",
    "Min": "minimum", "Max": "maximum", "PRelu": "prelu",
}  # fmt: skip
REDUCTIONS: dict[str, ReduceFunction] = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min",
    "ReduceL2": "norm",
}  # fmt: skip


def translates(*names: str) -> Callable[[Translate], Translate]:
    """Register what makes lines of some operators."""

    def register(function: Translate) -> Translate:
        NODES.update(dict.fromkeys(names, function))
        return function

    return register


def padding(
    node: Node, height_width: tuple[int, int], window: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, bottom and right, of numbers or of a rule that keeps sizes."""
    rule = node.attributes.get("auto_pad", "NOTSET")
    if rule in ("NOTSET", ""):
        pads = node.attributes.get("pads") or (0, 0, 0, 0)
        if len(pads) != 4:
            raise UnknownOperator([f"{node.title} on images of {len(pads) // 2} axes"])
        top, left, bottom, right = (int(pad) for pad in pads)
        return top, left, bottom, right
    if rule == "VALID":
        return 0, 0, 0, 0
    step = strides(node.attributes.get("strides") or (1, 1))
    before, after = [], []
    for size, stride, span in zip(height_width, step, window, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + span - size)
        few, more = total // 2, total - total // 2
        before.append(few if rule == "SAME_UPPER" else more)
        after.append(more if rule == "SAME_UPPER" else few)
    return before[0], before[1], after[0], after[1]


def spans(node: Node, kernel: tuple[int, int]) -> tuple[int, int]:
    """How far a window reaches."""
    dilation = strides(node.attributes.get("dilations") or (1, 1))
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))  # type: ignore[return-value]


def height_width(state: State, node: Node, place: int = 0) -> tuple[int, int]:
    """The size of the images that enter."""
    shape = state.shape(state.get(node, place))
    if len(shape) != 4:
        raise UnknownOperator([f"{node.title} of {len(shape)} axes"])
    return shape[2], shape[3]


def convolution(
    state: State, node: Node, inputs: tuple[str, ...], size: tuple[int, int], exact: bool = False
) -> Conv:
    """A convolution of tensors of the table; its output has no name yet."""
    weight = state.builder.shape(inputs[1])
    if len(weight) != 4:
        raise UnknownOperator([f"{node.title} of {len(weight)} axes"])
    return Conv(
        inputs=inputs,
        output="",
        stride=strides(node.attributes.get("strides") or (1, 1)),
        padding=padding(node, size, spans(node, (weight[2], weight[3]))),
        dilation=strides(node.attributes.get("dilations") or (1, 1)),
        groups=node.attributes.get("group", 1),
        exact=exact,
    )


def real_inputs(state: State, node: Node) -> tuple[str, ...]:
    """All inputs that are given, as real numbers; those left out come last."""
    return tuple(state.real(node, i) for i in range(len(node.inputs)) if node.given(i))


@translates("Conv")
def _conv(state: State, node: Node) -> None:
    size = height_width(state, node)
    line = convolution(state, node, real_inputs(state, node), size)
    state.make(replace(line, output=node.outputs[0]))


@translates("ConvTranspose")
def _conv_transpose(state: State, node: Node) -> None:
    height_width(state, node)
    if "output_shape" in node.attributes or node.attributes.get("auto_pad", "NOTSET") != "NOTSET":
        raise UnknownOperator([f"{node.title} with an output's shape"])
    state.make(
        ConvTranspose(
            inputs=real_inputs(state, node),
            output=node.outputs[0],
            stride=strides(node.attributes.get("strides") or (1, 1)),
            padding=padding(node, (1, 1), (1, 1)),
            extra=strides(node.attributes.get("output_padding") or (0, 0)),
            dilation=strides(node.attributes.get("dilations") or (1, 1)),
            groups=node.attributes.get("group", 1),
        )
    )


@translates("Gemm")
def _gemm(state: State, node: Node) -> None:
    """Alpha * a @ b + beta * c, either matrix transposed before."""
    name, factors = (
        node.outputs[0],
        (node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)),
    )
    a = _turned(state, state.get(node, 0), node, 0, node.attributes.get("transA", 0))
    b = _turned(state, state.get(node, 1), node, 1, node.attributes.get("transB", 0))
    if factors == (1.0, 1.0) and (not node.given(2) or len(state.shape(state.get(node, 2))) == 1):
        rest = (state.real(node, 2),) if node.given(2) else ()
        state.make(MatMul(inputs=(a, b, *rest), output=name))
        return
    product = scaled(state, state.put(MatMul(inputs=(a, b), output="")), factors[0])
    if node.given(2):
        bias = scaled(state, state.real(node, 2), factors[1])
        product = state.put(Binary(inputs=(product, bias), output="", function="add"))
    state.make(Unary(inputs=(product,), output=name, function="identity"))


def scaled(state: State, x: str, factor: float) -> str:
    """A tensor times a number."""
    if factor == 1.0:
        return x
    number = state.builder.constant(state.fresh("factor"), np.asarray(factor, np.float32))
    return state.put(Binary(inputs=(x, number), output="", function="multiply"))


def _turned(state: State, value: Known | Live, node: Node, place: int, turn: int) -> str:
    """A matrix, transposed where the node says so; constants are transposed here."""
    if not turn:
        return state.real(node, place)
    if isinstance(value, Known) and value.fixed is not None and value.fixed.ndim == 2:
        step = None if value.step is None else full_rank(value.step, 2).T
        return state.constant(Known.alike(value.fixed.T, step), node)
    return state.put(Transpose(inputs=(state.real(node, place),), output="", order=(1, 0)))


@translates("MatMul")
def _matmul(state: State, node: Node) -> None:
    a, b = real_inputs(state, node)
    state.make(MatMul(inputs=(a, b), output=node.outputs[0]))


@translates("Einsum")
def _einsum(state: State, node: Node) -> None:
    equation = str(node.attributes.get("equation", "")).replace(" ", "")
    if not re.fullmatch(r"[a-zA-Z]+(,[a-zA-Z]+)*->[a-zA-Z]*", equation):
        raise UnknownOperator([f"{node.title} {equation[:80]}"])
    inputs = real_inputs(state, node)
    state.make(Einsum(inputs=inputs, output=node.outputs[0], equation=equation))


@translates("com.microsoft.FusedMatMul")
def _fused_matmul(state: State, node: Node) -> None:
    if any(node.attributes.get(word) for word in ("transBatchA", "transBatchB")):
        raise UnknownOperator([f"{node.title} of turned batches"])
    sides = []
    for place, word in enumerate(("transA", "transB")):
        x = state.real(node, place)
        if node.attributes.get(word):
            order = list(range(state.axes(node, place)))
            order[-2:] = order[:-3:-1]
            x = state.put(Transpose(inputs=(x,), output="", order=tuple(order)))
        sides.append(x)
    product = state.put(MatMul(inputs=(sides[0], sides[1]), output=""))
    product = scaled(state, product, node.attributes.get("alpha", 1.0))
    state.make(Unary(inputs=(product,), output=node.outputs[0], function="identity"))


@translates(*FUNCTIONS)
def _unary(state: State, node: Node) -> None:
    x, function = state.real(node, 0), FUNCTIONS[node.title]
    state.make(Unary(inputs=(x,), output=node.outputs[0], function=function))


@translates("com.microsoft.QuickGelu")
def _quick_gelu(state: State, node: Node) -> None:
    x = state.real(node, 0)
    wide = scaled(state, x, node.attributes.get("alpha", 1.702))
    share = state.put(Unary(inputs=(wide,), output="", function="sigmoid"))
    state.make(Binary(inputs=(x, share), output=node.outputs[0], function="multiply"))


@translates("Gelu")
def _gelu(state: State, node: Node) -> None:
    function: Literal["gelu", "gelu_tanh"] = (
        "gelu_tanh" if node.attributes.get("approximate") == "tanh" else "gelu"
    )
    state.make(Unary(inputs=(state.real(node, 0),), output=node.outputs[0], function=function))


@translates(*PAIRS)
def _binary(state: State, node: Node) -> None:
    """Two numbers, or more for the smallest and the largest."""
    names = real_inputs(state, node)
    function = PAIRS[node.kind]
    for other in names[1:-1]:
        names = (
            state.put(Binary(inputs=(names[0], other), output="", function=function)),
            *names[2:],
        )
    if len(names) == 1:
        state.make(Unary(inputs=names, output=node.outputs[0], function="identity"))
        return
    state.make(Binary(inputs=names, output=node.outputs[0], function=function))


@translates("Sum", "Mean")
def _sum(state: State, node: Node) -> None:
    total, *rest = real_inputs(state, node)
    for other in rest:
        total = state.put(Binary(inputs=(total, other), output="", function="add"))
    total = scaled(state, total, 1 / (len(rest) + 1) if node.kind == "Mean" else 1.0)
    state.make(Unary(inputs=(total,), output=node.outputs[0], function="identity"))


@translates("Clip")
def _clip(state: State, node: Node) -> None:
    low, high = state.number(node, 1, -math.inf), state.number(node, 2, math.inf)
    state.make(Clip(inputs=(state.real(node, 0),), output=node.outputs[0], low=low, high=high))


@translates("LeakyRelu")
def _leaky(state: State, node: Node) -> None:
    slope = node.attributes.get("alpha", 0.01)
    state.make(LeakyRelu(inputs=(state.real(node, 0),), output=node.outputs[0], slope=slope))


@translates("Elu")
def _elu(state: State, node: Node) -> None:
    alpha = node.attributes.get("alpha", 1.0)
    state.make(Elu(inputs=(state.real(node, 0),), output=node.outputs[0], alpha=alpha))


@translates("HardSigmoid")
def _hard_sigmoid(state: State, node: Node) -> None:
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    x = state.real(node, 0)
    state.make(HardSigmoid(inputs=(x,), output=node.outputs[0], slope=slope, offset=offset))


@translates("Softmax", "LogSoftmax")
def _softmax(state: State, node: Node) -> None:
    axis = from_front(node.attributes.get("axis", -1), state.axes(node))
    log = node.kind == "LogSoftmax"
    state.make(Softmax(inputs=(state.real(node, 0),), output=node.outputs[0], axis=axis, log=log))


@translates("BatchNormalization")
def _batch_norm(state: State, node: Node) -> None:
    """A gain and an offset for each channel."""
    if node.attributes.get("training_mode"):
        raise UnknownOperator([f"{node.title} in training"])
    scale, offset, mean, variance = (state.array(node, i).astype(np.float64) for i in range(1, 5))
    gain = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    rest = (1,) * (state.axes(node) - 2)
    gains = Known.alike(gain.reshape(-1, *rest).astype(np.float32))
    offsets = Known.alike((offset - mean * gain).reshape(-1, *rest).astype(np.float32))
    x = (state.real(node, 0), state.constant(gains, node))
    product = state.put(Binary(inputs=x, output="", function="multiply"))
    inputs = (product, state.constant(offsets, node))
    state.make(Binary(inputs=inputs, output=node.outputs[0], function="add"))


@translates("LayerNormalization")
def _layer_norm(state: State, node: Node) -> None:
    if any(node.outputs[1:]):
        raise UnknownOperator([f"{node.title} with its mean"])
    axis = from_front(node.attributes.get("axis", -1), state.axes(node))
    epsilon = node.attributes.get("epsilon", 1e-5)
    state.make(
        LayerNorm(
            inputs=real_inputs(state, node), output=node.outputs[0], axis=axis, epsilon=epsilon
        )
    )


@translates("InstanceNormalization", "GroupNormalization")
def _group_norm(state: State, node: Node) -> None:
    channels = state.shape(state.get(node, 0))[1]
    groups = node.attributes.get("num_groups", channels)
    if node.kind == "GroupNormalization" and state.opset < 21:
        raise UnknownOperator(["GroupNormalization before opset 21"])
    epsilon = node.attributes.get("epsilon", 1e-5)
    state.make(
        GroupNorm(
            inputs=real_inputs(state, node), output=node.outputs[0], groups=groups, epsilon=epsilon
        )
    )


@translates("LpNormalization")
def _normalise(state: State, node: Node) -> None:
    axis = from_front(node.attributes.get("axis", -1), state.axes(node))
    order: Literal[1, 2] = 1 if node.attributes.get("p", 2) == 1 else 2
    state.make(
        Normalise(inputs=(state.real(node, 0),), output=node.outputs[0], axis=axis, order=order)
    )


@translates(*REDUCTIONS)
def _reduce(state: State, node: Node) -> None:
    axes = axes_of(node, [] if not node.given(1) else [np.zeros(0), state.array(node, 1)])
    count = state.axes(node)
    if not axes and node.attributes.get("noop_with_empty_axes"):
        state.make(
            Unary(inputs=(state.real(node, 0),), output=node.outputs[0], function="identity")
        )
        return
    along = tuple(sorted(from_front(axis, count) for axis in axes or range(count)))
    keep = bool(node.attributes.get("keepdims", 1))
    function = REDUCTIONS[node.kind]
    state.make(
        Reduce(
            inputs=(state.real(node, 0),),
            output=node.outputs[0],
            function=function,
            axes=along,
            keep=keep,
        )
    )


@translates("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(state: State, node: Node) -> None:
    axes = tuple(range(2, state.axes(node)))
    function: Literal["mean", "max"] = "mean" if node.kind == "GlobalAveragePool" else "max"
    state.make(
        Reduce(
            inputs=(state.real(node, 0),),
            output=node.outputs[0],
            function=function,
            axes=axes,
            keep=True,
        )
    )


def window(
    state: State, node: Node
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int], bool]:
    """Kernel, stride and padding of a pool, and whether the last windows reached beyond it.

    Where sizes are rounded up, the padding below and to the right is as large as that takes.
    """
    size, kernel = height_width(state, node), strides(node.attributes.get("kernel_shape", ()))
    step, reach = strides(node.attributes.get("strides") or (1, 1)), spans(node, kernel)
    top, left, bottom, right = padding(node, size, reach)
    if not node.attributes.get("ceil_mode", 0):
        return kernel, step, (top, left, bottom, right), False
    ends = []
    for length, before, after, stride, span in zip(
        size, (top, left), (bottom, right), step, reach, strict=True
    ):
        count = -(-(length + before + after - span) // stride) + 1
        if (count - 1) * stride >= length + before:  # it would start behind the image
            count -= 1
        ends.append((count - 1) * stride + span - length - before)
    wider = ends[0] > bottom or ends[1] > right
    return kernel, step, (top, left, max(ends[0], 0), max(ends[1], 0)), wider


@translates("MaxPool")
def _max_pool(state: State, node: Node) -> None:
    if any(node.outputs[1:]):
        raise UnknownOperator([f"{node.title} with its places"])
    kernel, stride, pads, _ = window(state, node)
    dilation = strides(node.attributes.get("dilations") or (1, 1))
    value = state.get(node, 0)
    moved(
        state,
        node,
        value,
        lambda x, out: MaxPool(
            inputs=(x,), output=out, kernel=kernel, stride=stride, padding=pads, dilation=dilation
        ),
    )


def average_pool(state: State, node: Node) -> AveragePool:
    """A pool of real numbers; input and output have no names yet."""
    if any(d != 1 for d in node.attributes.get("dilations") or ()):
        raise UnknownOperator([f"{node.title} with holes"])
    kernel, stride, pads, wider = window(state, node)
    count = bool(node.attributes.get("count_include_pad", 0))
    if count and wider:
        raise UnknownOperator([f"{node.title} that counts padding and rounds sizes up"])
    return AveragePool(
        inputs=(), output="", kernel=kernel, stride=stride, padding=pads, count_padding=count
    )


@translates("AveragePool")
def _average_pool(state: State, node: Node) -> None:
    pool = average_pool(state, node)
    state.make(replace(pool, inputs=(state.real(node, 0),), output=node.outputs[0]))


def moved(
    state: State,
    node: Node,
    value: Known | Live,
    operator: Callable[[str, str], Operator],
    output: int = 0,
) -> None:
    """Add an operator that picks or moves numbers: codes before it are codes behind it."""
    codes = value.codes if isinstance(value, Live) else None
    x = value.name if isinstance(value, Live) else state.constant(value, node)
    if codes is not None and codes.axis is not None:
        raise UnknownOperator([f"{node.title} on codes of a grid per channel"])
    state.make(operator(x, node.outputs[output]), codes)


@translates("Reshape")
def _reshape(state: State, node: Node) -> None:
    value, wanted = state.get(node, 0), state.get(node, 1)
    if not isinstance(wanted, Known):
        raise UnknownOperator([f"{node.title} to a shape the network computes"])
    moved(state, node, value, lambda x, out: _reshaped(state, node, x, wanted, out))


def _reshaped(state: State, node: Node, x: str, wanted: Known, out: str) -> Reshape:
    """To a shape that copies sizes of 0, and may depend on the batch."""
    before = state.builder.shape(x)
    shape: list[int | None] = []
    for place, (few, more) in enumerate(zip(*(v.tolist() for v in wanted.values), strict=True)):
        if (few, more) == (-1, -1):
            shape.append(None)
        elif (few, more) == (0, 0) and not node.attributes.get("allowzero", 0):
            if place >= len(before):
                raise UnreadableFile(f"expected an axis {place} to copy in {node.title}")
            shape.append(before[place])
        else:
            shape.append(sized(node, few, more))
    return state.builder.reshaped(x, shape, out)


def sized(node: Node, few: int, more: int) -> int:
    """A size that was found for two batches."""
    return size_of(node.title, int(few), int(more))


@translates("Flatten")
def _flatten(state: State, node: Node) -> None:
    value = state.get(node, 0)
    shape = state.shape(value)
    axis = node.attributes.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    before, after = shape[:axis], shape[axis:]
    # The batch may be in either half, so both are given by their product.
    sizes = (_product(before), _product(after))
    moved(state, node, value, lambda x, out: Reshape(inputs=(x,), output=out, shape=sizes))


def _product(sizes: tuple[int, ...]) -> int:
    """A product of sizes, of which at most one counts the batch."""
    if sum(size < 0 for size in sizes) > 1:
        raise UnknownOperator(["a batch in two sizes at once"])
    return math.prod(sizes)


@translates("Squeeze", "Unsqueeze")
def _squeeze(state: State, node: Node) -> None:
    value = state.get(node, 0)
    shape = list(state.shape(value))
    given = axes_of(node, [np.zeros(0), state.array(node, 1)] if node.given(1) else [])
    if node.kind == "Squeeze":
        fixed = state.builder.fixed
        gone = (
            {from_front(axis, len(shape)) for axis in given}
            if given is not None
            else {i for i, size in enumerate(shape) if size == 1 or (size == -1 and fixed == 1)}
        )
        if any(shape[i] != 1 for i in gone):
            raise UnknownOperator([f"{node.title} of a size other than 1"])
        shape = [size for i, size in enumerate(shape) if i not in gone]
    else:
        count = len(shape) + len(given or ())
        for axis in sorted(from_front(axis, count) for axis in given or ()):
            shape.insert(axis, 1)
    moved(state, node, value, lambda x, out: Reshape(inputs=(x,), output=out, shape=tuple(shape)))


@translates("Transpose")
def _transpose(state: State, node: Node) -> None:
    count = state.axes(node)
    order = tuple(node.attributes.get("perm") or range(count - 1, -1, -1))
    if sorted(order) != list(range(count)):
        raise UnreadableFile(f"expected an order of {count} axes, got {order}")
    moved(
        state,
        node,
        state.get(node, 0),
        lambda x, out: Transpose(inputs=(x,), output=out, order=order),
    )


@translates("Expand")
def _expand(state: State, node: Node) -> None:
    value, wanted = state.get(node, 0), state.get(node, 1)
    if not isinstance(wanted, Known):
        raise UnknownOperator([f"{node.title} to a shape the network computes"])
    target = [
        sized(node, few, more)
        for few, more in zip(*(v.tolist() for v in wanted.values), strict=True)
    ]
    shape = list(state.shape(value))
    rank = max(len(shape), len(target))
    shape, target = [1] * (rank - len(shape)) + shape, [1] * (rank - len(target)) + target
    full = tuple(b if a == 1 else a for a, b in zip(shape, target, strict=True))
    moved(state, node, value, lambda x, out: Expand(inputs=(x,), output=out, shape=full))


@translates("Concat")
def _concat(state: State, node: Node) -> None:
    values = [state.get(node, place) for place in range(len(node.inputs))]
    grids = [value.codes for value in values if isinstance(value, Live)]
    if any(codes is not None for codes in grids):
        first = grids[0]
        if (
            first is None
            or len(grids) < len(values)
            or not all(g is not None and same(g, first) for g in grids)
        ):
            raise UnknownOperator([f"{node.title} of codes of several grids"])
        names, codes = [value.name for value in values if isinstance(value, Live)], first
    else:
        names, codes = list(real_inputs(state, node)), None
    axis = from_front(node.attributes["axis"], len(state.shape(values[0])))
    names = with_batch(state, names, axis)
    state.make(Concat(inputs=tuple(names), output=node.outputs[0], axis=axis), codes)


def with_batch(state: State, names: list[str], axis: int) -> list[str]:
    """Tensors that stand beside batches, repeated for each image.

    A file for one image at a time has no need to repeat a class token; one for any number does.
    """
    shapes = [state.builder.shape(name) for name in names]
    if axis == 0 or not any(shape and shape[0] == -1 for shape in shapes):
        return names
    return [
        name
        if shape[:1] != (1,)
        else state.builder.expand(name, (-1, *shape[1:]), state.fresh(name))
        for name, shape in zip(names, shapes, strict=True)
    ]


@translates("Slice")
def _slice(state: State, node: Node) -> None:
    value = state.get(node, 0)
    inputs = [
        state.array(node, i) if node.given(i) else np.zeros(0, np.int64)
        for i in range(1, len(node.inputs))
    ]
    shape = state.shape(value)
    lines = []
    for axis, start, stop, step in slices(inputs, len(shape)):
        if shape[axis] < 0:
            if (start, step) == (0, 1) and stop >= 2**31 - 1:
                continue
            raise UnknownOperator([f"{node.title} of the batch"])
        if step < 0:
            raise UnknownOperator([f"{node.title} backwards"])
        first, last, _ = slice(start, stop, step).indices(shape[axis])
        lines.append((axis, first, max(first, last), step))
    _cut(state, node, value, lines)


def _cut(
    state: State,
    node: Node,
    value: Known | Live,
    lines: list[tuple[int, int, int, int]],
    output: int = 0,
) -> None:
    """One slice after another."""
    x = value.name if isinstance(value, Live) else state.constant(value, node)
    codes = value.codes if isinstance(value, Live) else None
    for axis, start, stop, step in lines[:-1]:
        x = state.put(Slice(inputs=(x,), output="", axis=axis, start=start, stop=stop, step=step))
    if not lines:
        moved(
            state,
            node,
            Live(x, codes),
            lambda x, out: Unary(inputs=(x,), output=out, function="identity"),
            output,
        )
        return
    axis, start, stop, step = lines[-1]
    moved(
        state,
        node,
        Live(x, codes),
        lambda x, out: Slice(inputs=(x,), output=out, axis=axis, start=start, stop=stop, step=step),
        output,
    )


@translates("Split")
def _split(state: State, node: Node) -> None:
    value = state.get(node, 0)
    shape = state.shape(value)
    axis = from_front(node.attributes.get("axis", 0), len(shape))
    if shape[axis] < 0:
        raise UnknownOperator([f"{node.title} of the batch"])
    parts = parts_of(node, shape[axis], state.maybe(node, 1))
    if sum(parts) != shape[axis] or min(parts) < 0 or len(parts) != len(node.outputs):
        raise UnreadableFile(f"expected parts that make {shape[axis]}, got {parts[:20]}")
    start = 0
    for output, part in enumerate(parts):
        if node.outputs[output]:
            _cut(state, node, value, [(axis, start, start + part, 1)], output)
        start += part


@translates("Gather")
def _gather(state: State, node: Node) -> None:
    value = state.get(node, 0)
    shape = state.shape(value)
    axis = from_front(node.attributes.get("axis", 0), len(shape))
    if _all_in_order(state.get(node, 1), shape[axis]):
        full = (*shape[:axis], *state.shape(state.get(node, 1)), *shape[axis + 1 :])
        moved(state, node, value, lambda x, out: Reshape(inputs=(x,), output=out, shape=full))
        return
    index = state.array(node, 1)
    if shape[axis] < 0:
        raise UnknownOperator([f"{node.title} from the batch"])
    if index.size and (index.min() < -shape[axis] or index.max() >= shape[axis]):
        raise UnreadableFile(f"expected places of an axis of {shape[axis]} in {node.title}")
    there = np.where(index < 0, index + shape[axis], index).astype(np.int64)
    places = state.builder.constant(state.fresh("places"), there)
    moved(state, node, value, lambda x, out: Gather(inputs=(x, places), output=out, axis=axis))


def _all_in_order(index: Known | Live, size: int) -> bool:
    """Whether an index picks every place of an axis once, in order, as some exporters flatten."""
    if not isinstance(index, Known):
        return False
    lengths = [-size * n if size < 0 else size for n in BATCHES]
    pairs = zip(index.values, lengths, strict=True)
    return all(np.array_equal(places.ravel(), np.arange(length)) for places, length in pairs)


@translates("Pad")
def _pad(state: State, node: Node) -> None:
    value = state.get(node, 0)
    count = len(state.shape(value))
    pads = [int(pad) for pad in state.array(node, 1)]
    axes = (
        range(count)
        if not node.given(3)
        else [from_front(int(a), count) for a in state.array(node, 3)]
    )
    if len(pads) != 2 * len(axes):
        raise UnreadableFile(f"expected {2 * len(axes)} paddings, got {len(pads)}")
    before, after = [0] * count, [0] * count
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    mode = node.attributes.get("mode", "constant")
    if mode not in ("constant", "edge", "reflect") or (mode != "constant" and min(pads) < 0):
        raise UnknownOperator([f"{node.title} of mode {mode}"])
    number = state.number(node, 2, 0.0)
    if isinstance(value, Live) and value.codes is not None:
        number = float((number - value.codes.zero_point) * value.codes.scale)
    moved(
        state,
        node,
        value,
        lambda x, out: Pad(
            inputs=(x,),
            output=out,
            before=tuple(before),
            after=tuple(after),
            value=number,
            mode=mode,
        ),
    )


@translates("Resize", "Upsample")
def _resize(state: State, node: Node) -> None:
    value = state.get(node, 0)
    size, shape = height_width(state, node), state.shape(value)
    mode, place = (
        node.attributes.get("mode", "nearest"),
        node.attributes.get("coordinate_transformation_mode", "half_pixel"),
    )
    scales = state.maybe(node, 2)
    if scales is not None and scales.size:
        target = tuple(math.floor(s * f) for s, f in zip(size, scales[-2:].tolist(), strict=True))
        exact = all(t == s * f for s, f, t in zip(size, scales[-2:].tolist(), target, strict=True))
    else:
        full = state.get(node, 3)
        if not isinstance(full, Known):
            raise UnknownOperator([f"{node.title} to a size the network computes"])
        target, exact = tuple(int(v) for v in full.values[0][-2:]), True
    whole = all(t % s == 0 for s, t in zip(size, target, strict=True))
    plain = place in ("half_pixel", "pytorch_half_pixel") or (
        place == "asymmetric"
        and mode == "nearest"
        and node.attributes.get("nearest_mode", "") == "floor"
        and whole
    )
    if (
        len(shape) != 4
        or mode not in ("nearest", "linear")
        or not (plain and exact)
        or node.attributes.get("antialias")
        or node.attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        raise UnknownOperator([f"{node.title} of mode {mode}, {place}"])
    if mode == "nearest" and not whole:
        raise UnknownOperator([f"{node.title} to a size that is no multiple"])
    kind: Literal["nearest", "linear"] = "nearest" if mode == "nearest" else "linear"
    if kind == "nearest":
        moved(
            state,
            node,
            value,
            lambda x, out: Resize(inputs=(x,), output=out, size=(target[0], target[1]), mode=kind),
        )
        return
    state.make(
        Resize(
            inputs=(state.real(node, 0),),
            output=node.outputs[0],
            size=(target[0], target[1]),
            mode=kind,
        )
    )


@translates("Where")
def _where(state: State, node: Node) -> None:
    state.array(node, 0)
    state.make(Where(inputs=real_inputs(state, node), output=node.outputs[0]))


@translates("DepthToSpace", "SpaceToDepth")
def _depth(state: State, node: Node) -> None:
    """Channels to places or back, as a reshape, an order of axes, and a reshape."""
    value = state.get(node, 0)
    batch, channels, *_ = state.shape(value)
    (height, width), block = height_width(state, node), node.attributes["blocksize"]
    codes = value.codes if isinstance(value, Live) else None
    order: tuple[int, ...]
    if node.kind == "DepthToSpace":
        deep = channels // block**2
        crd = node.attributes.get("mode", "DCR") == "CRD"
        inner = (
            (batch, deep, block, block, height, width)
            if crd
            else (batch, block, block, deep, height, width)
        )
        order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
        outer = (batch, deep, height * block, width * block)
    else:
        inner = (batch, channels, height // block, block, width // block, block)
        order = (0, 3, 5, 1, 2, 4)
        outer = (batch, channels * block**2, height // block, width // block)
    x = value.name if isinstance(value, Live) else state.constant(value, node)
    x = state.put(Reshape(inputs=(x,), output="", shape=inner))
    x = state.put(Transpose(inputs=(x,), output="", order=order))
    moved(state, node, Live(x, codes), lambda x, out: Reshape(inputs=(x,), output=out, shape=outer))


@translates("Identity", "Dropout")
def _identity(state: State, node: Node) -> None:
    if any(node.outputs[1:]):
        raise UnknownOperator([f"{node.title} with its mask"])
    if node.given(2) and state.array(node, 2).any():
        raise UnknownOperator([f"{node.title} in training"])
    state.tensors[node.outputs[0]] = state.get(node, 0)


@translates("Cast")
def _cast(state: State, node: Node) -> None:
    """To float32 or a narrower float, also from codes, which stand for themselves."""
    from onnx import helper

    kind = str(helper.tensor_dtype_to_np_dtype(node.attributes["to"]))
    x = state.real(node, 0)
    if kind == "float32":
        state.tensors[node.outputs[0]] = Live(x)
    elif narrow := NARROW.get(kind):
        state.make(Unary(inputs=(x,), output=node.outputs[0], function=narrow))
    else:
        raise UnknownOperator([f"Cast of the network's numbers to {kind}"])
