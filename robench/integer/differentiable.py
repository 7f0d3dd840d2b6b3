"""A twin made from a program alone, where nothing else of the network is at hand.

It computes the program's operations on real-valued codes, rounded and saturated like the program,
with straight-through gradients. In float64, as it is made, it gives the program's very codes; in
float32 sums beyond 2**24 round, so a code may be off by one here and there, and labels hardly ever
differ.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robench.integer.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Logits,
    MaxPool,
    Plain,
    Weighted,
    operands,
)
from robench.integer.program import Program


class ProgramTwin(nn.Module):
    """Float images (N, C, H, W) in [0,1] to real logits (N, classes) of a program.

    Its parameters are the weights, in codes, and the biases of the program's convolutions and
    fully connected layers.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program
        self.last_reader = {s: i for i, op in enumerate(program.ops) for s in operands(op)}
        self.layers = nn.ModuleDict(
            {
                str(index): _Weighted(op)
                for index, op in enumerate(program.ops)
                if isinstance(op, Weighted)
            }
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes)."""
        images = images.to(next(self.parameters()).dtype)
        values: dict[int, Tensor] = {}
        for index, op in enumerate(self.program.ops):
            inputs = [values[i] for i in operands(op)] or [images]
            if isinstance(op, Weighted):
                values[index] = self.layers[str(index)](*inputs)
            else:
                values[index] = _execute(op, *inputs)
            for source in operands(op):
                if self.last_reader[source] == index:
                    values.pop(source, None)
        return values[len(self.program.ops) - 1]


class _Weighted(nn.Module):
    """Convolution, fully connected layer or logits."""

    gain: Tensor

    def __init__(self, op: Weighted) -> None:
        super().__init__()
        self.op = op
        weight, bias = op.weight.astype(np.int64), op.bias.astype(np.int64)
        if isinstance(op, Conv):  # codes are taken relative to their border, so that it is zero
            bias = bias + weight.sum((2, 3)) @ op.border.astype(np.int64)
            border = torch.from_numpy(op.border.astype(np.float64))
            self.register_buffer("border", border[:, None, None])
        self.weight = nn.Parameter(torch.from_numpy(weight).double())
        self.bias = nn.Parameter(torch.from_numpy(bias).double())
        gain = op.multiplier / 2.0**op.shift
        if isinstance(op, Logits):
            gain = gain * (op.unit / 2.0**32)
        self.register_buffer("gain", torch.from_numpy(gain)[:, None, None])

    def forward(self, codes: Tensor) -> Tensor:
        """u8 codes to u8 codes, or to real logits."""
        if isinstance(self.op, Conv):
            inside = codes - self.get_buffer("border")
            sums = F.conv2d(inside, self.weight, self.bias, self.op.stride, self.op.padding)
        else:
            sums = F.linear(codes.flatten(1), self.weight, self.bias)[:, :, None, None]
        scaled = sums * self.gain
        if isinstance(self.op, Logits):
            return scaled.flatten(1)
        return _u8(scaled + self.op.zero_point)


def _execute(op: Plain, x: Tensor, y: Tensor | None = None) -> Tensor:
    match op:
        case Input():
            pixels = _rounded(x * 255, op.low, op.high)
            return _u8((pixels - op.low) * (op.multiplier / 2.0**op.shift))
        case Add():
            assert y is not None
            return _floored(x * op.multiplier_a + y * op.multiplier_b + op.bias, op.shift)
        case Affine():
            gain, offset = (
                torch.from_numpy(v).to(x)[:, None, None] for v in (op.multiplier, op.bias)
            )
            return _floored(x * gain + offset, op.shift)
        case MaxPool():
            return F.max_pool2d(x, op.kernel, op.stride, op.padding)
        case AvgPool():
            window = (op.kernel_h, op.kernel_w)
            means = F.avg_pool2d(x, window, op.stride)
            scaled = means * (op.multiplier * op.kernel_h * op.kernel_w)
            return _floored(scaled + op.bias, op.shift)
        case Flatten():
            return x.flatten(1)[:, :, None, None]
        case _:
            assert_never(op)


def _floored(sums: Tensor, shift: int) -> Tensor:
    """u8(sums >> shift): rounding to the nearest, half a code lower."""
    return _u8((sums - ((1 << shift >> 1) if shift else 0)) / 2.0**shift)


def _u8(codes: Tensor) -> Tensor:
    return _rounded(codes, 0, 255)


def _rounded(x: Tensor, low: int, high: int) -> Tensor:
    """The nearest integer in [low, high], halves upwards; gradient 1 inside, else 0."""
    inside = x.clamp(low - 0.5, high + 0.5)
    return inside + ((x + 0.5).floor().clamp(low, high) - inside).detach()
