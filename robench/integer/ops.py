"""The operations of an integer program, typed; what each computes is stated here, bit by bit.

Tensor `i` is the output of operation `i`: u8 codes of shape (channels, height, width), but for the
last operation, which gives s32 logits. Real value of a code: scale * (code - zero point); the
scales are already folded into the fixed-point multipliers, so nothing here is a float.
`reference.py` defines every bit.

An operation is added in these places. The last column is what fails when one is forgotten: mypy,
or a test (test_operations.py; test_engine.py, which compiles the C):

    place                                              what is added                        fails
    ops.py                                             its dataclass, in Weighted or Plain  -
    check.py                           _Checker.check  its shape; that nothing overflows    mypy
    reference.py                       _execute        every bit of it                      mypy
    codebody.py                        Body._call      its call in the compiled engine      mypy
    kernels/ops.h                                      the C that is called                 a test
    differentiable.py                  _execute        its straight-through twin            mypy
    onnx.py                            _Graph._op      its nodes                            mypy
    file.py                            KINDS           its number, after all others         a test
    fakequant.py                                       the layer it is made of              -
    twin.py                            Layer           that layer's class                   mypy
    trace.py                           _Builder        from a layer of torch to that one    a test
    build.py                           _build          from that layer to the operation     mypy
    tests/integer/integer_programs.py  RandomProgram   a random one: engines meet it        a test

    rounded shift       rshift(v, s) = floor((v + 2**(s - 1)) / 2**s)
    requantisation      u8(rshift(acc * multiplier, shift) + zero_point), the product in 64 bits
    u8(v)               v saturated to 0..255 (a ReLU is this saturation, at zero point 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robench.base.errors import UserError

Int8 = npt.NDArray[np.int8]
UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Shape = tuple[int, int, int]

INT32_MAX = 2**31 - 1
MAX_ELEMENTS = 2**26
"""The largest activation or weight tensor, in elements: a bound for readers of hostile files."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Input:
    """Pixels in 8-bit units, as int16 (noise may leave 0..255), onto u8 codes.

    code = u8(rshift((clamp(pixel, low, high) - low) * multiplier, shift)).
    """

    channels: int
    height: int
    width: int
    low: int
    high: int
    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Conv:
    """2-D convolution, square stride and padding; acc = bias + sum(weight * code), requantised."""

    x: int
    weight: Int8  # (out, in, kernel height, kernel width)
    bias: Int32  # (out,)
    border: UInt8  # (in,), the code found outside the image
    stride: int
    padding: int
    multiplier: Int32  # (out,)
    shift: int
    zero_point: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear:
    """Fully connected layer on a flattened tensor; acc = bias + weight @ codes, requantised."""

    x: int
    weight: Int8  # (out, in)
    bias: Int32  # (out,)
    multiplier: Int32  # (out,)
    shift: int
    zero_point: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Add:
    """Residual sum: u8((a * multiplier_a + b * multiplier_b + bias) >> shift), s16 factors."""

    a: int
    b: int
    multiplier_a: int
    multiplier_b: int
    bias: int
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Affine:
    """Scale and offset per channel: u8((x * multiplier + bias) >> shift)."""

    x: int
    multiplier: Int32  # (channels,)
    bias: Int32  # (channels,)
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class MaxPool:
    """Largest code of each square window; padding never wins."""

    x: int
    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True, eq=False, kw_only=True)
class AvgPool:
    """u8((sum of the kernel_h x kernel_w window * multiplier + bias) >> shift), no padding."""

    x: int
    kernel_h: int
    kernel_w: int
    stride: int
    multiplier: int
    bias: int
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Flatten:
    """(channels, height, width) to (channels * height * width, 1, 1), channels slowest."""

    x: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Logits:
    """The last operation: rshift(acc * multiplier, shift) as s32, all classes on one scale.

    The label is the argmax, the lowest class on ties. `unit` decides no label: it is the real size
    of one logit in 2**-32, for those who take the logits for a softmax.
    """

    x: int
    weight: Int8  # (classes, in)
    bias: Int32  # (classes,)
    multiplier: Int32  # (classes,)
    shift: int
    unit: int = 2**32


Weighted = Conv | Linear | Logits
"""Those with a weight, a bias and multipliers."""
Plain = Input | Add | Affine | MaxPool | AvgPool | Flatten
Op = Weighted | Plain


def operands(op: Op) -> tuple[int, ...]:
    """Indices of the tensors an operation reads."""
    if isinstance(op, Input):
        return ()
    return (op.a, op.b) if isinstance(op, Add) else (op.x,)


def consumers(ops: Sequence[Op]) -> list[list[int]]:
    """For each tensor, the operations that read it."""
    readers: list[list[int]] = [[] for _ in ops]
    for index, op in enumerate(ops):
        for source in operands(op):
            readers[source].append(index)
    return readers


def refuse(index: int, op: object, expected: str, got: object) -> UserError:
    """The error for operation `index` of a program that cannot be accepted."""
    return UserError(
        f"integer program, operation {index} ({type(op).__name__}): expected {expected}, "
        f"got {got}; rebuild the program"
    )
