"""Checks that turn a list of operations into a program: shapes, types, no overflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import assert_never

import numpy as np
import numpy.typing as npt

from robench.base.errors import UserError
from robench.integer.ops import (
    INT32_MAX,
    MAX_ELEMENTS,
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    Logits,
    MaxPool,
    Op,
    Shape,
    Weighted,
    consumers,
    operands,
    refuse,
)

INT16_MAX = 2**15 - 1
MAX_OPS = 4096
MAX_CLASSES = 2**15
MAX_WIDTH = 2**20
"""Pixels in a row of the input: engines keep one on the stack."""
MAX_POOLED = 2**18
"""Channels of an average pool: engines keep their sums on the stack."""
MAX_PADDED = 2**27
"""Bytes of one tensor as engines keep it, and weights of one operation: channels by sixteens, with
borders. Sixteen images of it are addressed by s32."""
MAX_TOTAL = 2**30
"""Bytes of all tensors of one image, kept so."""
MAX_WORK = 2**38
"""Products of one image: some twenty times ResNet-152 at 224 pixels."""
Wide = npt.NDArray[np.int64]


def infer_shapes(ops: Sequence[Op]) -> tuple[Shape, ...]:
    """Output shape (C, H, W) of every operation.

    Raises: UserError on a malformed operation or a possible int32 overflow.
    """
    _check_order(ops)
    shapes: list[Shape] = []
    for index, op in enumerate(ops):
        shape = _Checker(index, op).check([shapes[i] for i in operands(op)])
        if min(shape) < 1 or shape[0] * shape[1] * shape[2] > MAX_ELEMENTS:
            raise refuse(index, op, f"1..{MAX_ELEMENTS} outputs", shape)
        shapes.append(shape)
    _check_borders(ops)
    _check_costs(ops, shapes)
    return tuple(shapes)


def work(ops: Sequence[Op], shapes: Sequence[Shape]) -> int:
    """Products and comparisons of one image; the sizes of `infer_shapes`."""
    return sum(_window_size(op) * c * h * w for op, (c, h, w) in zip(ops, shapes, strict=True))


def _window_size(op: Op) -> int:
    """Values that one output is made of."""
    match op:
        case Conv() | Linear() | Logits():
            return op.weight.size // len(op.weight)
        case MaxPool():
            return op.kernel**2
        case AvgPool():
            return op.kernel_h * op.kernel_w
        case _:
            return 1


def _check_order(ops: Sequence[Op]) -> None:
    if not 2 <= len(ops) <= MAX_OPS:
        raise UserError(f"integer program: expected 2..{MAX_OPS} operations, got {len(ops)}")
    last = len(ops) - 1
    for index, op in enumerate(ops):
        if isinstance(op, Input) != (index == 0) or isinstance(op, Logits) != (index == last):
            raise refuse(index, op, "Input first and Logits last, only there", type(op).__name__)
        for source in operands(op):
            if not 0 <= source < index:
                raise refuse(index, op, f"an operand in 0..{index - 1}", source)


def _check_borders(ops: Sequence[Op]) -> None:
    """Engines keep one border around each tensor, so all that pad it must agree."""
    for readers in consumers(ops):
        padded = [op for op in (ops[i] for i in readers) if isinstance(op, Conv) and op.padding]
        for one, other in pairwise(padded):
            if not np.array_equal(one.border, other.border):
                raise UserError(
                    "integer program: expected one border for all convolutions that pad a tensor, "
                    f"got {one.border} and {other.border}"
                )


def _check_costs(ops: Sequence[Op], shapes: Sequence[Shape]) -> None:
    """A small file may not ask for more memory or time than the largest networks do."""
    total = 0
    everything = zip(ops, shapes, consumers(ops), strict=True)
    for index, (op, shape, readers) in enumerate(everything):
        padding = [r.padding for r in (ops[i] for i in readers) if isinstance(r, Conv)]
        halo = max(padding, default=0)
        padded = _lanes(shape[0]) * (shape[1] + 2 * halo) * (shape[2] + 2 * halo)
        if padded > MAX_PADDED:
            raise refuse(index, op, f"at most {MAX_PADDED} bytes with borders", padded)
        total += padded
    if total > MAX_TOTAL:
        raise UserError(
            f"integer program: expected at most {MAX_TOTAL} bytes an image, got {total}"
        )
    if (products := work(ops, shapes)) > MAX_WORK:
        raise UserError(
            f"integer program: expected at most {MAX_WORK} products an image, got {products}"
        )


def _lanes(channels: int) -> int:
    """Channels as engines keep them, by sixteens."""
    return -(-channels // 16) * 16


class _Checker:
    """The rules of one operation; `check` returns its output shape."""

    def __init__(self, index: int, op: Op) -> None:
        self.index, self.op = index, op

    def check(self, inputs: list[Shape]) -> Shape:
        """Output shape for these input shapes."""
        match self.op:
            case Input() as op:
                return self._input(op)
            case Conv() as op:
                return self._conv(op, inputs[0])
            case Linear() | Logits() as op:
                return self._linear(op, inputs[0])
            case Add() as op:
                return self._add(op, inputs)
            case Affine() as op:
                return self._affine(op, inputs[0])
            case MaxPool() as op:
                self._within("padding", op.padding, 0, op.kernel // 2)
                return self._window(inputs[0], op.kernel, op.kernel, op.stride, op.padding)
            case AvgPool() as op:
                return self._avg_pool(op, inputs[0])
            case Flatten():
                return inputs[0][0] * inputs[0][1] * inputs[0][2], 1, 1
            case _:
                assert_never(self.op)

    def _input(self, op: Input) -> Shape:
        self._within("width", op.width, 1, MAX_WIDTH)
        self._within("low", op.low, -INT16_MAX - 1, INT16_MAX - 1)
        self._within("high", op.high, op.low + 1, INT16_MAX)
        self._within("shift", op.shift, 1, 30)
        self._within("multiplier", op.multiplier, 1, INT32_MAX)
        self._fits("input map", (op.high - op.low) * op.multiplier + (1 << (op.shift - 1)))
        return op.channels, op.height, op.width

    def _conv(self, op: Conv, shape: Shape) -> Shape:
        self._array(
            "weight", op.weight, np.int8, (*op.weight.shape[:1], shape[0], *op.weight.shape[2:]), 4
        )
        self._array("border", op.border, np.uint8, (shape[0],), 1)
        _, _, kernel_h, kernel_w = op.weight.shape
        self._within("padding", op.padding, 0, min(kernel_h, kernel_w) - 1)
        self._accumulator(op)
        _, height, width = self._window(shape, kernel_h, kernel_w, op.stride, op.padding)
        return op.weight.shape[0], height, width

    def _linear(self, op: Linear | Logits, shape: Shape) -> Shape:
        if shape[1:] != (1, 1):
            raise refuse(self.index, self.op, "a flattened input (features, 1, 1)", shape)
        self._array("weight", op.weight, np.int8, (*op.weight.shape[:1], shape[0]), 2)
        self._accumulator(op)
        if isinstance(op, Logits):
            self._within("classes", len(op.weight), 1, MAX_CLASSES)
            self._within("unit", op.unit, 1, 2**62)
        return op.weight.shape[0], 1, 1

    def _add(self, op: Add, inputs: list[Shape]) -> Shape:
        if inputs[0] != inputs[1]:
            raise refuse(self.index, op, f"operands of one shape {inputs[0]}", inputs[1])
        for multiplier in (op.multiplier_a, op.multiplier_b):
            self._within("multiplier", multiplier, -INT16_MAX, INT16_MAX)
        total = 255 * (abs(op.multiplier_a) + abs(op.multiplier_b)) + abs(op.bias)
        self._fits("sum", total)
        self._within("shift", op.shift, 0, 30)
        return inputs[0]

    def _avg_pool(self, op: AvgPool, shape: Shape) -> Shape:
        out = self._window(shape, op.kernel_h, op.kernel_w, op.stride, 0)
        self._within("channels", shape[0], 1, MAX_POOLED)
        self._within("shift", op.shift, 0, 30)
        total = 255 * op.kernel_h * op.kernel_w * max(1, abs(op.multiplier)) + abs(op.bias)
        self._fits("product", total)
        return out

    def _window(
        self, shape: Shape, kernel_h: int, kernel_w: int, stride: int, padding: int
    ) -> Shape:
        self._within("stride", stride, 1, 255)
        self._within("kernel", min(kernel_h, kernel_w), 1, 2**15)
        height = (shape[1] + 2 * padding - kernel_h) // stride + 1
        width = (shape[2] + 2 * padding - kernel_w) // stride + 1
        return shape[0], height, width

    def _accumulator(self, op: Weighted) -> None:
        """Any partial sum, in any order, with or without bias, lies between these extremes."""
        out = op.weight.shape[0]
        self._array("bias", op.bias, np.int32, (out,), 1)
        self._array("multiplier", op.multiplier, np.int32, (out,), 1)
        if not 0 < op.weight.size <= MAX_ELEMENTS:
            raise refuse(self.index, op, f"1..{MAX_ELEMENTS} weights", op.weight.size)
        packed = _lanes(out) * _lanes(op.weight.shape[1]) * math.prod(op.weight.shape[2:])
        if packed > MAX_PADDED:
            raise refuse(self.index, self.op, f"at most {MAX_PADDED} weights by sixteens", packed)
        flat = op.weight.reshape(out, -1)
        high = 255 * flat.clip(min=0).sum(1, dtype=np.int64)
        low = 255 * flat.clip(max=0).sum(1, dtype=np.int64)
        bias = op.bias.astype(np.int64)
        bound = np.maximum(high + bias.clip(min=0), -(low + bias.clip(max=0)))
        self._fits("accumulator", int(bound.max()))
        self._requant(op, bound)

    def _requant(self, op: Weighted, bound: Wide) -> None:
        self._within("shift", op.shift, 1, 32)
        products = [int(b) * abs(int(m)) for b, m in zip(bound, op.multiplier, strict=True)]
        offset = 0
        if not isinstance(op, Logits):
            self._within("zero point", op.zero_point, 0, 255)
            offset = op.zero_point
        self._fits("requantised value", (max(products) >> op.shift) + 1 + offset)

    def _affine(self, op: Affine, shape: Shape) -> Shape:
        self._array("multiplier", op.multiplier, np.int32, shape[:1], 1)
        self._array("bias", op.bias, np.int32, shape[:1], 1)
        self._within("shift", op.shift, 0, 30)
        multiplier, bias = np.abs(op.multiplier.astype(np.int64)), np.abs(op.bias.astype(np.int64))
        self._fits("product", int((255 * multiplier.clip(min=1) + bias).max()))
        return shape

    def _array(
        self,
        name: str,
        array: npt.NDArray[np.generic],
        dtype: type,
        shape: tuple[int, ...],
        ndim: int,
    ) -> None:
        if array.dtype != dtype or array.ndim != ndim or array.shape != shape:
            got = f"{array.dtype} {array.shape}"
            raise refuse(self.index, self.op, f"{name} of {np.dtype(dtype)} {shape}", got)

    def _within(self, name: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise refuse(self.index, self.op, f"{name} in {low}..{high}", value)

    def _fits(self, name: str, bound: int) -> None:
        if bound > INT32_MAX:
            raise refuse(self.index, self.op, f"{name} within int32 (2^31 - 1)", bound)
