"""From a twin to its integer program: every real factor becomes a fixed-point multiplier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from robench.base.errors import UserError
from robench.integer.fakequant import (
    ActivationQuant,
    InputQuant,
    QuantAdd,
    QuantAffine,
    QuantAvgPool,
    QuantConv,
    QuantLinear,
    norm_as_affine,
)
from robench.integer.fixed_point import (
    Real,
    fixed_point,
    int32,
    largest_shift,
    real,
    rounded_offset,
)
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
    UInt8,
)
from robench.integer.program import Program
from robench.integer.twin import Dropout, Layer, Twin

BIAS_LIMIT = 2.0**27
"""Largest integer bias aimed at: leaves the accumulator room and the multiplier its precision."""


@dataclass(frozen=True)
class _Code:
    """What codes mean: real = scale * (code - zero_point); per channel only at the input."""

    scale: float
    zero_point: UInt8

    @property
    def zero(self) -> int:
        """The zero point of a tensor that has one for all channels."""
        if (self.zero_point != self.zero_point[0]).any():
            raise UserError(
                "integer program: expected only convolutions to read normalised images; "
                "change the model"
            )
        return int(self.zero_point[0])


@torch.no_grad()
def to_program(twin: Twin) -> Program:
    """The integer program of a twin (in evaluation: running statistics, standing ranges).

    Raises: UserError when a range was never observed or an int32 could overflow.
    """
    ops: list[Op] = []
    codes: list[_Code] = []
    index: dict[int, int] = {}
    for layer_index, (layer, sources) in enumerate(zip(twin.layers, twin.wiring, strict=True)):
        inputs = [index[s] for s in sources]
        known = cast("Layer | Dropout", layer)
        if isinstance(known, Dropout):
            index[layer_index] = inputs[0]
            continue
        op, code = _build(known, inputs, [codes[i] for i in inputs], twin.shape)
        ops.append(op)
        codes.append(code)
        index[layer_index] = len(ops) - 1
    return Program(tuple(ops))


def _build(
    layer: Layer, x: list[int], codes: list[_Code], shape: tuple[int, int, int]
) -> tuple[Op, _Code]:
    match layer:
        case InputQuant():
            return _input(layer, shape)
        case QuantConv():
            return _conv(layer, x[0], codes[0])
        case QuantLinear():
            return _linear(layer, x[0], codes[0])
        case QuantAdd():
            return _add(layer, x, codes)
        case QuantAffine():
            return _affine(layer, x[0], codes[0])
        case QuantAvgPool():
            return _avg_pool(layer, x[0], codes[0])
        case nn.MaxPool2d():
            kernel, stride, padding = (
                int(layer.kernel_size),  # type: ignore[arg-type]
                int(layer.stride),  # type: ignore[arg-type]
                int(layer.padding),  # type: ignore[arg-type]
            )
            return MaxPool(x=x[0], kernel=kernel, stride=stride, padding=padding), codes[0]
        case nn.Flatten():
            return Flatten(x=x[0]), codes[0]
        case _:
            assert_never(layer)


def _input(layer: InputQuant, shape: tuple[int, int, int]) -> tuple[Op, _Code]:
    shift = largest_shift(1 / layer.scale, 255.0 * layer.scale, most=16)
    channels, height, width = shape
    op = Input(
        channels=channels,
        height=height,
        width=width,
        low=layer.low,
        high=layer.high,
        multiplier=round(2.0**shift / layer.scale),
        shift=shift,
    )
    zero = layer.mean_code.flatten().numpy().astype(np.uint8)
    return op, _Code(layer.scale / 255, zero)


def _conv(layer: QuantConv, x: int, source: _Code) -> tuple[Op, _Code]:
    kernel, bias, scale = _kernel(layer, source)
    code, zero_point = _code(layer.quant, len(kernel))
    multiplier, shift = fixed_point(scale / code.scale)
    border = np.broadcast_to(source.zero_point, kernel.shape[1:2]).copy()
    correction = kernel.astype(np.int64).sum((2, 3)) @ border.astype(np.int64)
    op = Conv(
        x=x,
        weight=kernel,
        bias=int32(bias - correction),
        border=border,
        stride=layer.stride,
        padding=layer.padding,
        multiplier=multiplier,
        shift=shift,
        zero_point=zero_point,
    )
    return op, code


def _linear(layer: QuantLinear, x: int, source: _Code) -> tuple[Op, _Code]:
    kernel, bias, scale = _kernel(layer, source)
    bias = bias - source.zero * kernel.astype(np.int64).sum(1)
    if layer.quant is None:
        unit = float(2 * scale.max())
        multiplier, shift = fixed_point(scale / unit)
        logits = Logits(
            x=x,
            weight=kernel,
            bias=int32(bias),
            multiplier=multiplier,
            shift=shift,
            unit=max(1, round(unit * 2**32)),
        )
        return logits, _Code(unit, np.zeros(1, np.uint8))
    code, zero_point = _code(layer.quant, len(kernel))
    multiplier, shift = fixed_point(scale / code.scale)
    op = Linear(
        x=x,
        weight=kernel,
        bias=int32(bias),
        multiplier=multiplier,
        shift=shift,
        zero_point=zero_point,
    )
    return op, code


def _kernel(
    layer: QuantConv | QuantLinear, source: _Code
) -> tuple[npt.NDArray[np.int8], Real, Real]:
    """s8 kernel, bias in accumulator units, and real size of one accumulator unit (out,).

    A channel that batch norm has all but switched off has a tiny unit and hence a huge bias; its
    unit is made coarser until the bias fits, which costs nothing that could be seen beside that
    bias.
    """
    codes, scale = layer.quantized_kernel()
    gain, offset = layer.folded()
    per_channel = (-1, *[1] * (codes.dim() - 1))
    signed = codes * gain.sign().view(per_channel)
    unit = real(scale * gain.abs()) * source.scale
    fitting = np.maximum(np.maximum(unit, np.abs(real(offset)) / BIAS_LIMIT), 1e-30)
    shrink = (unit / fitting).reshape(per_channel)
    kernel = np.rint(real(signed) * shrink).astype(np.int8)
    return kernel, np.rint(real(offset) / fitting), fitting


def _add(layer: QuantAdd, x: list[int], codes: list[_Code]) -> tuple[Op, _Code]:
    code, zero_point = _code(layer.quant, 1)
    ratios = [c.scale / code.scale for c in codes]
    shift = min(
        largest_shift(max(ratios), 1.0, most=30, largest=2**15 - 1),
        largest_shift(sum(ratios) + 1, 512.0),
    )
    a, b = (round(r * 2.0**shift) for r in ratios)
    # From the rounded factors, so that real zeros add up to real zero.
    bias = rounded_offset(zero_point, shift) - a * codes[0].zero - b * codes[1].zero
    op = Add(a=x[0], b=x[1], multiplier_a=a, multiplier_b=b, bias=bias, shift=shift)
    return op, code


def _affine(layer: QuantAffine, x: int, source: _Code) -> tuple[Op, _Code]:
    if layer.norm is None:
        gain, offset = np.ones(layer.channels), np.zeros(layer.channels)
    else:
        gain, offset = (real(v) for v in norm_as_affine(layer.norm))
    code, zero_point = _code(layer.quant, 1)
    ratio = gain * source.scale / code.scale
    constant = offset / code.scale - ratio * source.zero + zero_point
    bound = float((np.abs(ratio) * 255 + np.abs(constant) + 1).max())
    shift = largest_shift(bound, 1.0, most=24)
    op = Affine(
        x=x,
        multiplier=int32(np.rint(ratio * 2.0**shift)),
        bias=int32([rounded_offset(c, shift) for c in constant]),
        shift=shift,
    )
    return op, code


def _avg_pool(layer: QuantAvgPool, x: int, source: _Code) -> tuple[Op, _Code]:
    code, zero_point = _code(layer.quant, 1)
    area = layer.kernel[0] * layer.kernel[1]
    ratio = source.scale / code.scale
    constant = zero_point - ratio * source.zero
    shift = largest_shift(ratio * 255 + abs(constant) + 1, 2.0, most=24)
    op = AvgPool(
        x=x,
        kernel_h=layer.kernel[0],
        kernel_w=layer.kernel[1],
        stride=layer.stride,
        multiplier=round(ratio / area * 2.0**shift),
        bias=rounded_offset(constant, shift),
        shift=shift,
    )
    return op, code


def _code(quant: ActivationQuant, channels: int) -> tuple[_Code, int]:
    scale, zero_point = quant.scale_and_zero_point()
    return _Code(scale, np.full(channels, zero_point, np.uint8)), zero_point
