"""The reference executor: the definition of an integer program, bit by bit.

It computes in floats that hold integers, several times faster than int64 and as exact. Codes are
float32. Every partial sum of a convolution is an integer, below 2**24 where it is float32, else
below 2**31 in float64, whatever the order of summation; Winograd's transform would not be exact, so
NNPACK, which uses it, is off. Scaled sums are float64 and exact below 2**53; beyond it a code is
saturated whatever the last bits are, since shifts are at most 32. Images and logits are int64.
"""

from __future__ import annotations

from typing import assert_never

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
        inputs = [tensors[i] for i in operands(op)] or [images]
        tensors[index] = _execute(op, *inputs)
        for source in operands(op):
            if last_reader[source] == index:
                tensors.pop(source, None)
    logits = tensors[len(program.ops) - 1]
    return logits.argmax(1), logits


def _execute(op: Op, x: Tensor, y: Tensor | None = None) -> Tensor:
    match op:
        case Input():
            scaled = (x.long().clamp_(op.low, op.high) - op.low) * op.multiplier
            return _rshift(scaled, op.shift).clamp_(0, 255).float()
        case Conv():
            return _requantised(_convolved(x, op), op)
        case Linear():
            return _requantised(_matmul(x, op).add_(_per_channel(op.bias)), op)
        case Logits():
            scaled = (_matmul(x, op).long() + _whole(op.bias)) * _whole(op.multiplier)
            return _rshift(scaled, op.shift).flatten(1)
        case Add():
            assert y is not None
            scaled = x.double().mul_(op.multiplier_a).add_(y, alpha=op.multiplier_b)
            return _u8(scaled.add_(op.bias), op.shift)
        case Affine():
            scaled = x.double().mul_(_per_channel(op.multiplier)).add_(_per_channel(op.bias))
            return _u8(scaled, op.shift)
        case MaxPool():
            return F.max_pool2d(x, op.kernel, op.stride, op.padding)
        case AvgPool():
            windows = x.double().unfold(2, op.kernel_h, op.stride).unfold(3, op.kernel_w, op.stride)
            return _u8(windows.sum((4, 5)).mul_(op.multiplier).add_(op.bias), op.shift)
        case Flatten():
            return x.flatten(1)[:, :, None, None]
        case _:
            assert_never(op)


def _convolved(x: Tensor, op: Conv) -> Tensor:
    """Sums of a convolution with its bias, in the fastest float type that is exact."""
    weight, bias = torch.from_numpy(op.weight), torch.from_numpy(op.bias)
    largest = (255 * weight.long().abs().sum((1, 2, 3)) + bias.long().abs()).max()
    exact = torch.float32 if largest < 2**24 else torch.float64
    zeros = op.padding if not op.border.any() else 0
    codes = (x if zeros else _bordered(x, op)).to(exact)
    with torch.backends.nnpack.flags(enabled=False):
        return F.conv2d(codes, weight.to(exact), bias.to(exact), op.stride, zeros)


def _bordered(x: Tensor, op: Conv) -> Tensor:
    n, c, h, w = x.shape
    p = op.padding
    if not p:
        return x
    out = _per_channel(op.border).to(x.dtype).expand(n, c, h + 2 * p, w + 2 * p).clone()
    out[:, :, p : p + h, p : p + w] = x
    return out


def _matmul(x: Tensor, op: Linear | Logits) -> Tensor:
    acc = x.flatten(1).double() @ torch.from_numpy(op.weight).double().T
    return acc[:, :, None, None]


def _requantised(acc: Tensor, op: Conv | Linear) -> Tensor:
    """Codes of sums: u8(rshift(acc * multiplier, shift) + zero_point)."""
    scaled = acc.double().mul_(_per_channel(op.multiplier) * 2.0**-op.shift)
    return scaled.add_(0.5 + op.zero_point).floor_().clamp_(0, 255).float()


def _u8(scaled: Tensor, shift: int) -> Tensor:
    """u8(scaled >> shift); changes `scaled`."""
    return scaled.mul_(2.0**-shift).floor_().clamp_(0, 255).float()


def _per_channel(values: object) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64)[None, :, None, None]


def _whole(values: object) -> Tensor:
    return torch.as_tensor(values, dtype=torch.int64)[None, :, None, None]


def _rshift(v: Tensor, shift: int) -> Tensor:
    return (v + (1 << (shift - 1))) >> shift
