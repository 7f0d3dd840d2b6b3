"""A LiteRT (TFLite) file as a table: what its int8 kernels sum exactly stays exact.

Tensors of such a file are channels-last; operators that look at neighbours get a transpose before
and behind them. A quantised tensor is made by its operator in real numbers and then rounded onto
its grid, as the kernels do; what only moves numbers is not rounded again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robench.core.session import Port
from robench.graph.build import Builder, chosen, named
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.flatbuffer import (
    WHOLE,
    Codes,
    StoredOperator,
    StoredTensor,
    Subgraph,
    guarded,
    stored,
)
from robench.graph.table import (
    AveragePool,
    Binary,
    Clip,
    Concat,
    Conv,
    Elu,
    Expand,
    Gather,
    Graph,
    LeakyRelu,
    MatMul,
    MaxPool,
    Normalise,
    Pad,
    Quantise,
    Quantiser,
    Real,
    Reduce,
    Resize,
    Slice,
    Softmax,
    Transpose,
    Unary,
)

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Axes from channels-last to channels-first, and back."""
UNARY = {
    "ABS": "abs",
    "CEIL": "ceil",
    "COS": "cos",
    "DEQUANTIZE": "identity",
    "EXP": "exp",
    "FLOOR": "floor",
    "HARD_SWISH": "hard_swish",
    "LOG": "log",
    "LOGISTIC": "sigmoid",
    "NEG": "negate",
    "QUANTIZE": "identity",
    "RELU": "relu",
    "ROUND": "round",
    "RSQRT": "rsqrt",
    "SIGN": "sign",
    "SIN": "sin",
    "SQRT": "sqrt",
    "TANH": "tanh",
}
BINARY = {
    "ADD": "add",
    "DIV": "divide",
    "MAXIMUM": "maximum",
    "MINIMUM": "minimum",
    "MUL": "multiply",
    "POW": "power",
    "PRELU": "prelu",
    "SUB": "subtract",
}
FUSING = ("ADD", "DIV", "MUL", "SUB")
"""Those with an activation within."""
REDUCE = {"MEAN": "mean", "REDUCE_MAX": "max", "REDUCE_MIN": "min", "SUM": "sum"}
CLIP = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}
FUSED = {0: "", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}
"""Activations within an operator, by the schema's number; others are unknown."""
SHAPED = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
"""The same numbers in the shape that the file gives their output."""


def read_litert(path: Path, input_name: str | None, output_name: str | None) -> Graph:
    """The table of a LiteRT file; needs the package ai-edge-litert.

    Raises UnreadableFile, UnknownOperator (all that are unknown, at once), and UserError.
    """
    found = stored(path)
    unknown = {one.kind for one in found.operators if one.kind not in _Reader.known()}
    if unknown:
        raise UnknownOperator(unknown)
    with guarded(path):
        return _Reader(found, input_name, output_name).table()


class _Reader:
    """One file's operators, put into a builder one after another."""

    def __init__(self, found: Subgraph, input_name: str | None, output_name: str | None) -> None:
        self.found = found
        self.source = self._chosen("input", found.inputs, input_name)
        self.target = self._chosen("output", found.outputs, output_name)
        self.builder = Builder(self._port(self.source))
        self.names = {self.source: self._port(self.source).name}
        self.made = 0
        self.unpacked: dict[int, StoredTensor] = {}
        """Constants that the file keeps in fewer bits and makes float before use."""

    @staticmethod
    def known() -> set[str]:
        """The kinds of operator that can be read."""
        return {*UNARY, *BINARY, *REDUCE, *CLIP, *SHAPED, *_SPECIAL}

    def table(self) -> Graph:
        """The whole table."""
        if self.found.tensors[self.source].codes is not None:
            self.names[self.source] = self._rounded(self.source, self.names[self.source])
        for operator in self.found.operators:
            self._one(operator)
        if self.target not in self.names:
            raise UnreadableFile("expected an output that an operator makes")
        port = self._port(self.target)
        graph = self.builder.finish(replace(port, name=self.names[self.target]))
        return named(graph, port)

    def _chosen(self, what: str, places: tuple[int, ...], name: str | None) -> int:
        ports = tuple(self._port(place) for place in places)
        return places[ports.index(chosen(what, ports, name))]

    def _port(self, place: int) -> Port:
        tensor = self.found.tensors[place]
        if not tensor.shape:
            raise UnreadableFile(f"expected {tensor.name!r} to have a batch as its first size")
        first = None if tensor.free_batch else tensor.shape[0]
        port = Port(tensor.name, (first, *tensor.shape[1:]), tensor.dtype)
        if tensor.codes is None:
            return port
        scale, zero = float(tensor.codes.scale[0]), int(tensor.codes.zero_point[0])
        return replace(port, scale=scale, zero_point=zero)

    def _one(self, operator: StoredOperator) -> None:
        kind = operator.kind
        if kind == "DEQUANTIZE" and self._tensor(operator.inputs[0]).values is not None:
            out = operator.outputs[0]
            values, _ = _real(self._tensor(operator.inputs[0]))
            self.unpacked[out] = replace(self._tensor(out), values=values)
        elif kind in UNARY:
            self._unary(operator, UNARY[kind])
        elif kind in BINARY:
            self._binary(operator, BINARY[kind])
        elif kind in REDUCE:
            self._reduce(operator, REDUCE[kind])
        elif kind in CLIP:
            self._give(operator, self._clipped(self._x(operator), kind))
        elif kind in SHAPED:
            self._move(operator, self._reshaped(self._x(operator), operator.outputs[0]))
        else:
            _SPECIAL[kind](self, operator)

    # --- tensors -----------------------------------------------------------------------------

    def _new(self) -> str:
        self.made += 1
        return f"made:{self.made}"

    def _tensor(self, place: int) -> StoredTensor:
        if place < 0:
            raise UnreadableFile("expected an operator to have all its inputs and outputs")
        return self.unpacked.get(place, self.found.tensors[place])

    def _shape(self, place: int) -> tuple[int, ...]:
        return self._tensor(place).shape

    def _value(self, operator: StoredOperator, index: int = 0) -> str:
        """The table's name of an operator's input; a constant becomes real numbers."""
        place = operator.inputs[index]
        tensor = self._tensor(place)
        if place not in self.names and tensor.values is not None:
            self.names[place] = self._constant(tensor)
        if place not in self.names:
            raise UnreadableFile(f"expected {tensor.name!r} to be made before it is read")
        return self.names[place]

    _x = _value

    def _constant(self, tensor: StoredTensor) -> str:
        values, step = _real(tensor)
        return self.builder.constant(self._new(), values, step)

    def _weight(self, operator: StoredOperator, order: tuple[int, ...]) -> str:
        """The weight at input 1, its axes in another order; a constant."""
        tensor = self._tensor(operator.inputs[1])
        if tensor.values is None or len(tensor.shape) != len(order):
            raise UnknownOperator([f"{operator.kind} whose weight is no constant"])
        if tensor.codes is not None and not self._exact(operator):
            raise UnknownOperator([f"{operator.kind} of {tensor.dtype} weights on float inputs"])
        codes = tensor.codes
        if codes is not None and codes.scale.size > 1:
            codes = Codes(codes.scale, codes.zero_point, order.index(codes.axis))
        moved = replace(
            tensor,
            values=tensor.values.transpose(order),
            codes=codes,
            shape=tuple(tensor.shape[axis] for axis in order),
        )
        return self._constant(moved)

    def _bias(self, operator: StoredOperator) -> tuple[str, ...]:
        there = len(operator.inputs) > 2 and operator.inputs[2] >= 0
        return (self._value(operator, 2),) if there else ()

    def _fixed(self, operator: StoredOperator, index: int) -> tuple[int, ...]:
        """The whole numbers of a constant input: axes, sizes and the like."""
        values = self._tensor(operator.inputs[index]).values
        if values is None or values.dtype.kind != "i":
            raise UnknownOperator([f"{operator.kind} with numbers that are no constants"])
        return tuple(int(one) for one in values.flatten())

    def _exact(self, operator: StoredOperator) -> bool:
        """Whether the kernel sums whole numbers."""
        return self._tensor(operator.inputs[0]).codes is not None

    def _axis(self, operator: StoredOperator, axis: int, index: int = 0) -> int:
        """An axis of an input, counted from the front."""
        axes = len(self._shape(operator.inputs[index]))
        if not -axes <= axis < axes:
            raise UnreadableFile(f"expected an axis of {axes}, got {axis}")
        return axis % axes

    def _reshaped(self, name: str, place: int) -> str:
        """A tensor in the shape that the file gives another, the batch free."""
        return self._shaped(name, self._shape(place))

    def _shaped(self, name: str, shape: tuple[int, ...]) -> str:
        batch = self._shape(self.source)[0]
        if self.builder.batched(name):
            if not shape or shape[0] % batch:
                raise UnknownOperator([f"a batch that is not the first size of {shape}"])
            shape = (-(shape[0] // batch), *shape[1:])
        return self.builder.reshape(name, shape, self._new())

    # --- what an operator makes --------------------------------------------------------------

    def _give(self, operator: StoredOperator, name: str, place: int = 0) -> None:
        """An operator's real numbers become its output: rounded where the file holds codes."""
        out = operator.outputs[place]
        self.names[out] = self._rounded(out, name)

    def _move(self, operator: StoredOperator, name: str, place: int = 0) -> None:
        """Numbers that were only moved become an output: on the same grid they stay as they are."""
        out, codes = operator.outputs[place], self._tensor(operator.inputs[0]).codes
        if codes is not None and codes.same(self._tensor(out).codes):
            self.names[out] = name
        else:
            self._give(operator, name, place)

    def _rounded(self, place: int, name: str) -> str:
        tensor = self._tensor(place)
        codes = tensor.codes
        if codes is None:
            return name
        if tensor.dtype not in WHOLE:
            raise UnknownOperator([f"quantised tensors of type {tensor.dtype}"])
        low, high = WHOLE[tensor.dtype]
        scale, zero, axis = codes.scale, codes.zero_point, codes.axis
        if scale.size == 1:
            quantiser = Quantiser(scale.reshape(()), zero.reshape(()), None, low, high)
        else:
            quantiser = Quantiser(scale, zero, axis, low, high)
        return self.builder.add(Quantise(inputs=(name,), output=self._new(), quantiser=quantiser))

    def _clipped(self, name: str, activation: str) -> str:
        if activation == "RELU":
            return self._apply(name, "relu")
        if not activation:
            return name
        low, high = CLIP[activation]
        return self.builder.add(Clip(inputs=(name,), output=self._new(), low=low, high=high))

    def _activated(self, operator: StoredOperator, name: str) -> str:
        """The activation within an operator applied."""
        number = operator.options.FusedActivationFunction()
        if number not in FUSED:
            raise UnknownOperator([f"{operator.kind} with activation {number}"])
        return self._clipped(name, FUSED[number])

    def _apply(self, name: str, function: Any) -> str:
        return self.builder.add(Unary(inputs=(name,), output=self._new(), function=function))

    def _both(self, a: str, b: str, function: Any) -> str:
        return self.builder.add(Binary(inputs=(a, b), output=self._new(), function=function))

    def _number(self, value: float) -> str:
        return self.builder.constant(self._new(), np.array(value, np.float32))

    def _turned(self, name: str, order: tuple[int, ...]) -> str:
        return self.builder.add(Transpose(inputs=(name,), output=self._new(), order=order))

    # --- operators ---------------------------------------------------------------------------

    def _unary(self, operator: StoredOperator, function: str) -> None:
        self._give(operator, self._apply(self._x(operator), function))

    def _cast(self, operator: StoredOperator) -> None:
        kinds = [self._tensor(place).dtype for place in (operator.inputs[0], operator.outputs[0])]
        narrow = kinds[1] in ("float16", "bfloat16")
        if kinds[0] == "float64" or (kinds[1] != "float32" and not narrow):
            raise UnknownOperator([f"CAST from {kinds[0]} to {kinds[1]}"])
        self._unary(operator, kinds[1] if narrow else "identity")

    def _binary(self, operator: StoredOperator, function: Any) -> None:
        name = self._both(self._value(operator, 0), self._value(operator, 1), function)
        self._give(operator, self._activated(operator, name) if operator.kind in FUSING else name)

    def _reduce(self, operator: StoredOperator, function: Any) -> None:
        axes = tuple(sorted({self._axis(operator, axis) for axis in self._fixed(operator, 1)}))
        keep = bool(operator.options.KeepDims())
        name = self.builder.add(
            Reduce(
                inputs=(self._x(operator),),
                output=self._new(),
                function=function,
                axes=axes,
                keep=keep,
            )
        )
        self._give(operator, name)

    def _conv(self, operator: StoredOperator) -> None:
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        weight = self._weight(operator, (3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        _, per_group, *kernel = self.builder.shape(weight)
        channels = self._shape(operator.inputs[0])[3]
        if channels % per_group:
            raise UnreadableFile(f"expected groups of {per_group} channels, got {channels}")
        options = operator.options
        dilation = (options.DilationHFactor(), options.DilationWFactor())
        stride, padding = self._window(operator, (kernel[0], kernel[1]), dilation)
        conv = Conv(
            inputs=(self._turned(self._x(operator), FIRST), weight, *self._bias(operator)),
            output=self._new(),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=channels // per_group,
            exact=self._exact(operator),
        )
        name = self._turned(self.builder.add(conv), LAST)
        self._give(operator, self._activated(operator, name))

    def _window(
        self, operator: StoredOperator, kernel: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """Stride and padding (top, left, bottom, right) of an operator on images."""
        options = operator.options
        stride = (options.StrideH(), options.StrideW())
        if min(*kernel, *stride, *dilation) < 1 or len(self._shape(operator.inputs[0])) != 4:
            raise UnreadableFile(f"expected windows of at least 1, got {kernel} by {stride}")
        if options.Padding() == 1:
            return stride, (0, 0, 0, 0)
        _, height, width, _ = self._shape(operator.inputs[0])
        before, after = [], []
        for size, window, step, apart in zip(
            (height, width), kernel, stride, dilation, strict=True
        ):
            out = math.ceil(size / step)
            whole = max((out - 1) * step + (window - 1) * apart + 1 - size, 0)
            before.append(whole // 2)
            after.append(whole - whole // 2)
        return stride, (before[0], before[1], after[0], after[1])

    def _linear(self, operator: StoredOperator) -> None:
        weight = self._weight(operator, (1, 0))
        if operator.options.WeightsFormat():
            raise UnknownOperator([f"{operator.kind} with shuffled weights"])
        x, wide = self._x(operator), self._shape(operator.inputs[0])
        inner = self.builder.shape(weight)[0]
        if len(wide) > 2 and not operator.options.KeepNumDims():
            x = self._shaped(x, (math.prod(wide) // inner, inner))
        name = self.builder.add(
            MatMul(
                inputs=(x, weight, *self._bias(operator)),
                output=self._new(),
                exact=self._exact(operator),
            )
        )
        self._give(operator, self._activated(operator, name))

    def _batch_matmul(self, operator: StoredOperator) -> None:
        names = [self._value(operator, 0), self._value(operator, 1)]
        for place, adjoint in enumerate((operator.options.AdjX(), operator.options.AdjY())):
            if adjoint:
                axes = len(self._shape(operator.inputs[place]))
                order = (*range(axes - 2), axes - 1, axes - 2)
                names[place] = self._turned(names[place], order)
        both = (self._tensor(place).codes is None for place in operator.inputs[:2])
        exact = self._exact(operator)
        if any(both) == exact:
            raise UnknownOperator([f"{operator.kind} of codes and floats"])
        product = MatMul(inputs=tuple(names), output=self._new(), exact=exact)
        self._give(operator, self.builder.add(product))

    def _pool(self, operator: StoredOperator) -> None:
        options = operator.options
        kernel = (options.FilterHeight(), options.FilterWidth())
        stride, padding = self._window(operator, kernel)
        kind: Callable[..., MaxPool | AveragePool] = (
            MaxPool if operator.kind == "MAX_POOL_2D" else AveragePool
        )
        pooled = kind(
            inputs=(self._turned(self._x(operator), FIRST),),
            output=self._new(),
            kernel=kernel,
            stride=stride,
            padding=padding,
        )
        name = self._turned(self.builder.add(pooled), LAST)
        name = self._activated(operator, name)
        if operator.kind == "MAX_POOL_2D":
            self._move(operator, name)
        else:
            self._give(operator, self._away(operator, name))

    def _away(self, operator: StoredOperator, name: str) -> str:
        """Half a code moved away from code 0, as LiteRT rounds the means of codes.

        A mean of up to 500 codes is either half a code or at least a 1000th beside it.
        """
        codes = self._tensor(operator.outputs[0]).codes
        if codes is None:
            return name
        scale = float(codes.scale[0])
        zero = self._number(float(codes.zero_point[0]) * scale)
        sign = self._apply(self._both(name, zero, "add"), "sign")
        return self._both(name, self._both(sign, self._number(scale / 2000), "multiply"), "add")

    def _resize(self, operator: StoredOperator) -> None:
        options, size = operator.options, self._fixed(operator, 1)
        if options.AlignCorners() or not options.HalfPixelCenters():
            raise UnknownOperator([f"{operator.kind} whose pixel centres are not at half"])
        nearest = operator.kind == "RESIZE_NEAREST_NEIGHBOR"
        resize = Resize(
            inputs=(self._turned(self._x(operator), FIRST),),
            output=self._new(),
            size=(size[0], size[1]),
            mode="nearest" if nearest else "linear",
        )
        self._give(operator, self._turned(self.builder.add(resize), LAST))

    def _softmax(self, operator: StoredOperator) -> None:
        if operator.kind == "SOFTMAX" and operator.options.Beta() != 1:
            raise UnknownOperator(["SOFTMAX with beta"])
        axis = self._axis(operator, -1)
        softmax = Softmax(
            inputs=(self._x(operator),),
            output=self._new(),
            axis=axis,
            log=operator.kind == "LOG_SOFTMAX",
        )
        self._give(operator, self.builder.add(softmax))

    def _gelu(self, operator: StoredOperator) -> None:
        self._unary(operator, "gelu_tanh" if operator.options.Approximate() else "gelu")

    def _elu(self, operator: StoredOperator) -> None:
        elu = Elu(inputs=(self._x(operator),), output=self._new(), alpha=1.0)
        self._give(operator, self.builder.add(elu))

    def _leaky(self, operator: StoredOperator) -> None:
        slope = operator.options.Alpha()
        leaky = LeakyRelu(inputs=(self._x(operator),), output=self._new(), slope=slope)
        self._give(operator, self.builder.add(leaky))

    def _normalise(self, operator: StoredOperator) -> None:
        axis = self._axis(operator, -1)
        unit = Normalise(inputs=(self._x(operator),), output=self._new(), axis=axis, order=2)
        self._give(operator, self.builder.add(unit))

    def _transpose(self, operator: StoredOperator) -> None:
        self._move(operator, self._turned(self._x(operator), self._fixed(operator, 1)))

    def _concat(self, operator: StoredOperator) -> None:
        out = operator.outputs[0]
        names = []
        for index, place in enumerate(operator.inputs):
            name, codes = self._value(operator, index), self._tensor(place).codes
            kept = codes is None or codes.same(self._tensor(out).codes)
            names.append(name if kept else self._rounded(out, name))
        axis = self._axis(operator, operator.options.Axis())
        self.names[out] = self._activated(
            operator, self.builder.add(Concat(inputs=tuple(names), output=self._new(), axis=axis))
        )

    def _pad(self, operator: StoredOperator) -> None:
        pairs = np.array(self._fixed(operator, 1)).reshape(-1, 2)
        value = 0.0
        if operator.kind == "PADV2":
            place = self._tensor(operator.inputs[2])
            if place.values is None or place.values.size != 1:
                raise UnknownOperator(["PADV2 with a value that is no constant"])
            codes = place.codes
            raw = float(place.values.flatten()[0])
            value = raw if codes is None else float((raw - codes.zero_point[0]) * codes.scale[0])
        if operator.kind == "MIRROR_PAD" and operator.options.Mode() != 0:
            raise UnknownOperator(["MIRROR_PAD that repeats the border"])
        pad = Pad(
            inputs=(self._x(operator),),
            output=self._new(),
            before=tuple(pairs[:, 0].tolist()),
            after=tuple(pairs[:, 1].tolist()),
            value=value,
            mode="reflect" if operator.kind == "MIRROR_PAD" else "constant",
        )
        self._move(operator, self.builder.add(pad))

    def _cut(self, name: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        cut = Slice(
            inputs=(name,), output=self._new(), axis=axis, start=start, stop=stop, step=step
        )
        return self.builder.add(cut)

    def _slice(self, operator: StoredOperator) -> None:
        name, shape = self._x(operator), self._shape(operator.inputs[0])
        begins, sizes = self._fixed(operator, 1), self._fixed(operator, 2)
        for axis, (begin, size, whole) in enumerate(zip(begins, sizes, shape, strict=True)):
            stop = whole if size == -1 else begin + size
            if (begin, stop) != (0, whole):
                name = self._cut(name, self._image_axis(axis), begin, stop)
        self._move(operator, name)

    def _strided(self, operator: StoredOperator) -> None:
        options, shape = operator.options, self._shape(operator.inputs[0])
        if options.EllipsisMask() or options.NewAxisMask() or options.Offset():
            raise UnknownOperator(["STRIDED_SLICE with an ellipsis or new axes"])
        begins, ends, steps = (self._fixed(operator, index) for index in (1, 2, 3))
        name = self._x(operator)
        for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
            if step < 1:
                raise UnknownOperator(["STRIDED_SLICE backwards"])
            first = None if options.BeginMask() >> axis & 1 else begin
            last = None if options.EndMask() >> axis & 1 else end
            if options.ShrinkAxisMask() >> axis & 1:
                first, last, step = begin, begin + 1 or None, 1
            start, stop, step = slice(first, last, step).indices(shape[axis])
            if (start, stop, step) != (0, shape[axis], 1):
                name = self._cut(name, self._image_axis(axis), start, stop, step)
        if options.ShrinkAxisMask():
            name = self._reshaped(name, operator.outputs[0])
        self._move(operator, name)

    def _split(self, operator: StoredOperator) -> None:
        at, data = (0, 1) if operator.kind == "SPLIT" else (2, 0)
        axis = self._image_axis(self._axis(operator, self._fixed(operator, at)[0], data))
        whole = replace(operator, inputs=(operator.inputs[data],))
        start = 0
        for place, out in enumerate(operator.outputs):
            stop = start + self._shape(out)[axis]
            self._move(whole, self._cut(self._x(whole), axis, start, stop), place)
            start = stop

    def _unpack(self, operator: StoredOperator) -> None:
        axis = self._image_axis(self._axis(operator, operator.options.Axis()))
        for place, out in enumerate(operator.outputs):
            name = self._cut(self._x(operator), axis, place, place + 1)
            self._move(operator, self._reshaped(name, out), place)

    def _pack(self, operator: StoredOperator) -> None:
        axes = len(self._shape(operator.outputs[0]))
        axis = self._image_axis(operator.options.Axis() % axes)
        names = []
        for index, place in enumerate(operator.inputs):
            shape = self._shape(place)
            shape = (*shape[:axis], 1, *shape[axis:])
            names.append(self._shaped(self._value(operator, index), shape))
        packed = Concat(inputs=tuple(names), output=self._new(), axis=axis)
        self._move(operator, self.builder.add(packed))

    def _gather(self, operator: StoredOperator) -> None:
        index = self._tensor(operator.inputs[1]).values
        if index is None or index.dtype.kind != "i" or operator.options.BatchDims():
            raise UnknownOperator(["GATHER at places that are no constants"])
        axis = self._image_axis(self._axis(operator, operator.options.Axis()))
        if (
            index.size
            and not 0 <= index.min() <= index.max() < self._shape(operator.inputs[0])[axis]
        ):
            raise UnreadableFile(f"expected GATHER at places of the axis, got {index.min()}")
        gather = Gather(
            inputs=(self._x(operator), self._value(operator, 1)), output=self._new(), axis=axis
        )
        self._move(operator, self.builder.add(gather))

    def _broadcast(self, operator: StoredOperator) -> None:
        shape = self._shape(operator.outputs[0])
        x = self._x(operator)
        if self.builder.batched(x):
            shape = (self.builder.shape(x)[0], *shape[1:])
        self._move(operator, self.builder.add(Expand(inputs=(x,), output=self._new(), shape=shape)))

    def _image_axis(self, axis: int) -> int:
        """An axis that may be cut: images of a batch are never told apart."""
        if axis == 0:
            raise UnknownOperator(["a cut through the batch"])
        return axis


def _real(tensor: StoredTensor) -> tuple[npt.NDArray[Any], Real | None]:
    """What a constant's codes stand for, and their step; numbers that are no codes as they are."""
    values, codes = tensor.values, tensor.codes
    assert values is not None
    if codes is None:
        return values, None
    along = [1] * values.ndim
    if codes.scale.size > 1:
        along[codes.axis] = -1
    step, zero = codes.scale.reshape(along), codes.zero_point.reshape(along)
    real = (values.astype(np.int64) - zero) * step.astype(np.float64)
    return real.astype(np.float32), step


_SPECIAL: dict[str, Callable[[_Reader, StoredOperator], None]] = {
    "AVERAGE_POOL_2D": _Reader._pool,
    "BATCH_MATMUL": _Reader._batch_matmul,
    "BROADCAST_TO": _Reader._broadcast,
    "CAST": _Reader._cast,
    "CONCATENATION": _Reader._concat,
    "CONV_2D": _Reader._conv,
    "DEPTHWISE_CONV_2D": _Reader._conv,
    "ELU": _Reader._elu,
    "FULLY_CONNECTED": _Reader._linear,
    "GATHER": _Reader._gather,
    "GELU": _Reader._gelu,
    "L2_NORMALIZATION": _Reader._normalise,
    "LEAKY_RELU": _Reader._leaky,
    "LOG_SOFTMAX": _Reader._softmax,
    "MAX_POOL_2D": _Reader._pool,
    "MIRROR_PAD": _Reader._pad,
    "PACK": _Reader._pack,
    "PAD": _Reader._pad,
    "PADV2": _Reader._pad,
    "RESIZE_BILINEAR": _Reader._resize,
    "RESIZE_NEAREST_NEIGHBOR": _Reader._resize,
    "SLICE": _Reader._slice,
    "SOFTMAX": _Reader._softmax,
    "SPLIT": _Reader._split,
    "SPLIT_V": _Reader._split,
    "STRIDED_SLICE": _Reader._strided,
    "TRANSPOSE": _Reader._transpose,
    "UNPACK": _Reader._unpack,
}
