"""The reference executor: the definition of an integer program, bit by bit, in int64.

Convolutions run in floats, which is exact here: every partial sum is an integer, below 2**24 where
they are float32, else below 2**31 in float64, whatever the order of summation. Winograd's transform
would not be exact, so NNPACK, which uses it, is off. All the rest is int64.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.integer.ops import (
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
    operands,
)
from robench.integer.program import Program


def run_reference(program: Program, images: Tensor) -> tuple[Tensor, Tensor]:
    """Labels int64 (N,) and logits int64 (N, classes) of images.

    images: uint8 or int16 (N, C, H, W) in 8-bit units. Raises: UserError for another type or shape.
    """
    program.check_images(images)
    last_reader = {source: i for i, op in enumerate(program.ops) for source in operands(op)}
    tensors: dict[int, Tensor] = {}
    for index, op in enumerate(program.ops):
        inputs = [tensors[i] for i in operands(op)] or [images.long()]
        tensors[index] = _execute(op, *inputs)
        for source in operands(op):
            if last_reader[source] == index:
                tensors.pop(source, None)
    logits = tensors[len(program.ops) - 1]
    return logits.argmax(1), logits


def _execute(op: Op, x: Tensor, y: Tensor | None = None) -> Tensor:
    match op:
        case Input():
            scaled = (x.clamp(op.low, op.high) - op.low) * op.multiplier
            return _u8(_rshift(scaled, op.shift))
        case Conv():
            weight, exact = torch.from_numpy(op.weight), _exact_float(op)
            codes = _bordered(x.to(exact), op)
            with torch.backends.nnpack.flags(enabled=False):
                acc = F.conv2d(codes, weight.to(exact), stride=op.stride).long()
            return _u8(_requantised(acc, op).add_(op.zero_point))
        case Linear():
            return _u8(_requantised(_matmul(x, op), op).add_(op.zero_point))
        case Logits():
            return _requantised(_matmul(x, op), op).flatten(1)
        case Add():
            assert y is not None
            return _u8((x * op.multiplier_a + y * op.multiplier_b + op.bias) >> op.shift)
        case Affine():
            scaled = x * _per_channel(op.multiplier) + _per_channel(op.bias)
            return _u8(scaled >> op.shift)
        case MaxPool():
            return F.max_pool2d(x.float(), op.kernel, op.stride, op.padding).long()
        case AvgPool():
            windows = x.unfold(2, op.kernel_h, op.stride).unfold(3, op.kernel_w, op.stride)
            return _u8((windows.sum((4, 5)) * op.multiplier + op.bias) >> op.shift)
        case Flatten():
            return x.flatten(1)[:, :, None, None]


def _bordered(x: Tensor, op: Conv) -> Tensor:
    n, c, h, w = x.shape
    p = op.padding
    if not p:
        return x
    out = _per_channel(op.border).to(x.dtype).expand(n, c, h + 2 * p, w + 2 * p).clone()
    out[:, :, p : p + h, p : p + w] = x
    return out


def _exact_float(op: Conv) -> torch.dtype:
    """The fastest float type that holds every partial sum of 8-bit codes."""
    largest = 255 * abs(op.weight.astype("int64")).sum(axis=(1, 2, 3)).max()
    return torch.float32 if largest < 2**24 else torch.float64


def _matmul(x: Tensor, op: Linear | Logits) -> Tensor:
    acc = x.flatten(1).double() @ torch.from_numpy(op.weight).double().T
    return acc.long()[:, :, None, None]


def _requantised(acc: Tensor, op: Conv | Linear | Logits) -> Tensor:
    """Scaled sums; changes `acc`."""
    acc.add_(_per_channel(op.bias)).mul_(_per_channel(op.multiplier))
    return acc.add_(1 << (op.shift - 1)).bitwise_right_shift_(op.shift)


def _per_channel(values: object) -> Tensor:
    return torch.as_tensor(values, dtype=torch.int64)[None, :, None, None]


def _rshift(v: Tensor, shift: int) -> Tensor:
    return (v + (1 << (shift - 1))) >> shift


def _u8(v: Tensor) -> Tensor:
    return v.clamp_(0, 255)
