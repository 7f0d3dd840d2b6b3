"""What each operator of the table computes, in torch, with torch's own gradients.

`Quantise` is not here: how its gradient runs is the twin's form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from robench.graph.table import (
    AveragePool,
    Binary,
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
    Pad,
    Plain,
    Reduce,
    Reshape,
    Resize,
    Shape,
    Slice,
    Softmax,
    Transpose,
    Unary,
    Where,
)


class _Narrowed(torch.autograd.Function):
    """Numbers of a narrower float type, held as float32.

    The gradient passes where a number is only rounded, and not where it vanishes or overflows:
    what the file has lost must not lead a search. Torch's own gradient would itself be rounded.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, kind: torch.dtype) -> Tensor:
        narrow = x.to(kind).to(x.dtype)
        ctx.save_for_backward(narrow.isfinite() & ((narrow != 0) | (x == 0)))
        return narrow

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        return grads[0] * kept, None


def _narrowed(kind: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda x: _Narrowed.apply(x, kind)


UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "bfloat16": _narrowed(torch.bfloat16),
    "ceil": torch.ceil,
    "cos": torch.cos,
    "erf": torch.erf,
    "exp": torch.exp,
    "float16": _narrowed(torch.float16),
    "floor": torch.floor,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "identity": lambda x: x,
    "log": torch.log,
    "mish": F.mish,
    "negate": torch.neg,
    "reciprocal": torch.reciprocal,
    "relu": F.relu,
    "round": torch.round,
    "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "silu": F.silu,
    "sin": torch.sin,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "power": torch.pow,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "prelu": lambda x, slope: torch.where(x < 0, x * slope, x),
}
REDUCE: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
    "norm": torch.linalg.vector_norm,
}


def compute(operator: Plain, inputs: Sequence[Tensor], batch: int) -> Tensor:
    """What an operator makes of its tensors, for a batch of so many images."""
    x = inputs[0]
    match operator:
        case Conv() | ConvTranspose() | MaxPool() | AveragePool() | Resize():
            return _image(operator, inputs)
        case MatMul():
            out = x @ inputs[1]
            return out + inputs[2] if len(inputs) > 2 else out
        case Einsum():
            return torch.einsum(operator.equation, *inputs)
        case Unary():
            return UNARY[operator.function](x)
        case Binary():
            return BINARY[operator.function](x, inputs[1])
        case Clip():
            # As torch's own ReLU6; the gradient of clamp takes four passes for the one of this.
            clipped: Tensor = torch.ops.aten.hardtanh(x, operator.low, operator.high)
            return clipped
        case LeakyRelu():
            return F.leaky_relu(x, operator.slope)
        case Elu():
            return F.elu(x, operator.alpha)
        case HardSigmoid():
            return (x * operator.slope + operator.offset).clamp(0, 1)
        case Softmax():
            return (F.log_softmax if operator.log else F.softmax)(x, operator.axis)
        case LayerNorm():
            return F.layer_norm(x, x.shape[operator.axis :], *_two(inputs), operator.epsilon)
        case GroupNorm():
            return F.group_norm(x, operator.groups, *_two(inputs), operator.epsilon)
        case Normalise():
            return F.normalize(x, operator.order, operator.axis)  # nothing stays nothing
        case Reduce():
            return REDUCE[operator.function](x, dim=operator.axes, keepdim=operator.keep)
        case Where():
            return torch.where(x != 0, inputs[1], inputs[2])
        case _:
            return _moved(operator, inputs, batch)


def _image(
    operator: Conv | ConvTranspose | MaxPool | AveragePool | Resize, inputs: Sequence[Tensor]
) -> Tensor:
    """An operator that looks at neighbours."""
    x = inputs[0]
    match operator:
        case Conv():
            x, rest = _padded(x, operator.padding)
            bias = inputs[2] if len(inputs) > 2 else None
            return F.conv2d(
                x, inputs[1], bias, operator.stride, rest, operator.dilation, operator.groups
            )
        case ConvTranspose():
            top, left, bottom, right = operator.padding
            bias = inputs[2] if len(inputs) > 2 else None
            x = F.conv_transpose2d(
                x, inputs[1], bias, operator.stride, 0, 0, operator.groups, operator.dilation
            )
            return F.pad(x, (-left, operator.extra[1] - right, -top, operator.extra[0] - bottom))
        case MaxPool():
            x, rest = _padded(x, operator.padding, -torch.inf)
            return F.max_pool2d(x, operator.kernel, operator.stride, rest, operator.dilation)
        case AveragePool():
            return _averaged(operator, x)
        case Resize():
            if operator.mode == "nearest":
                return F.interpolate(x, operator.size, mode="nearest-exact")
            return F.interpolate(x, operator.size, mode="bilinear", align_corners=False)
        case _:
            assert_never(operator)


def _moved(
    operator: Reshape | Expand | Transpose | Concat | Slice | Gather | Pad,
    inputs: Sequence[Tensor],
    batch: int,
) -> Tensor:
    """An operator that changes places alone, never a number."""
    x = inputs[0]
    match operator:
        case Reshape():
            return x.reshape(sizes(operator.shape, batch))
        case Expand():
            return x.expand(sizes(operator.shape, batch))
        case Transpose():
            return x.permute(operator.order)
        case Concat():
            return torch.cat(list(inputs), operator.axis)
        case Slice():
            places = [slice(None)] * operator.axis
            return x[(*places, slice(operator.start, operator.stop, operator.step))]
        case Gather():
            index = inputs[1]
            before, after = x.shape[: operator.axis], x.shape[operator.axis + 1 :]
            picked = x.index_select(operator.axis, index.flatten())
            return picked.reshape(*before, *index.shape, *after)
        case Pad():
            return _bordered(operator, x)
        case _:
            assert_never(operator)


def _two(inputs: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Scale and bias, where there are any."""
    return (inputs[1] if len(inputs) > 1 else None, inputs[2] if len(inputs) > 2 else None)


def sizes(shape: Shape, batch: int) -> Shape:
    """A shape for a batch of so many images."""
    return tuple(-size * batch if size < 0 else size for size in shape)


def _padded(
    x: Tensor, padding: tuple[int, int, int, int], value: float = 0.0
) -> tuple[Tensor, tuple[int, int]]:
    """The tensor, and the padding left to the operator, which pads both sides alike."""
    top, left, bottom, right = padding
    # Max pooling pads by half a window at most.
    if (top, left) == (bottom, right) and not value:
        return x, (top, left)
    return (F.pad(x, (left, right, top, bottom), value=value) if any(padding) else x), (0, 0)


def _averaged(operator: AveragePool, x: Tensor) -> Tensor:
    """The mean of each window."""
    padded, rest = _padded(x, operator.padding)
    if operator.count_padding or not any(operator.padding):
        return F.avg_pool2d(padded, operator.kernel, operator.stride, rest)
    ones = x.new_ones(1, 1, *x.shape[2:])
    inside, _ = _padded(ones, operator.padding)
    share = F.avg_pool2d(inside, operator.kernel, operator.stride, rest)
    return F.avg_pool2d(padded, operator.kernel, operator.stride, rest) / share


def _bordered(operator: Pad, x: Tensor) -> Tensor:
    """The tensor with places added around it; torch pads the last axes, nearest values the last."""
    pairs = list(zip(operator.before, operator.after, strict=True))
    if operator.mode == "constant":
        flat = [size for pair in reversed(pairs) for size in pair]
        return F.pad(x, flat, value=operator.value)
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            x = x.index_select(axis, _mirrored(operator, x.shape[axis], before, after).to(x.device))
    return x


def _mirrored(operator: Pad, size: int, before: int, after: int) -> Tensor:
    """Which place of an axis stands at each place of the padded one."""
    index = torch.arange(-before, size + after)
    if operator.mode == "edge":
        return index.clamp(0, size - 1)
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)
