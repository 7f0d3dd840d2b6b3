"""The steps of a twin that round: in codes where it can, so that sums are exact and steps few.

`Codes` are whole numbers `code - zero point` held as float32; a real number is one times the
tensor's unit. Rounding passes the gradient; a bound passes it or not, as the twin's form says.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robench.graph.compute import compute
from robench.graph.table import Plain, Quantiser, Real

Bounds = tuple[float, float]
UNBOUND: Bounds = (-math.inf, math.inf)


class _Rounded(torch.autograd.Function):
    """clamp(round(x * factor), low, high); the gradient is `factor` between `least` and `most`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, factor: Tensor | float, bounds: tuple[int, int],
        passing: tuple[float, float], divides: bool,
    ) -> Tensor:  # fmt: skip
        one = isinstance(factor, float) and factor == 1.0
        wide = x if one else x / factor if divides else x * factor
        if not ctx.needs_input_grad[0]:
            return wide.round().clamp_(*bounds)
        ctx.save_for_backward(wide)
        ctx.rest = factor, passing, divides
        return wide.round().clamp_(*bounds)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (wide,) = ctx.saved_tensors
        factor, (least, most), divides = ctx.rest
        grad = grads[0]
        if math.isfinite(least) or math.isfinite(most):
            grad = torch.ops.aten.hardtanh_backward(grad, wide, least, most)
        if isinstance(factor, Tensor) or factor != 1.0:
            grad = grad / factor if divides else grad * factor
        return grad, None, None, None, None


class _RoundedAlong(torch.autograd.Function):
    """clamp(round(x / scale), low, high) * scale, tensors along an axis; the gradient is 1 between
    `least` and `most`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, bounds: tuple[Tensor, Tensor],
        passing: tuple[Tensor, Tensor], reciprocal: bool,
    ) -> Tensor:  # fmt: skip
        factor = 1 / scale if reciprocal else scale
        wide = x * factor if reciprocal else x / factor
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward((wide > passing[0]) & (wide < passing[1]))
            ctx.rest = scale, factor, reciprocal
        return wide.round_().clamp_(*bounds).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (passes,) = ctx.saved_tensors
        scale, factor, reciprocal = ctx.rest
        grad = (grads[0] * scale).mul_(passes)
        return grad.mul_(factor) if reciprocal else grad.div_(factor), None, None, None, None


class Step(nn.Module):
    """One step of a twin."""

    def forward(self, inputs: list[Tensor], batch: int) -> Tensor:
        """What it makes of its tensors, for a batch of so many images."""
        raise NotImplementedError


class Computed(Step):
    """An operator of the table as it stands; `wide` sums whole numbers in float64."""

    def __init__(self, operator: Plain, wide: bool = False) -> None:
        super().__init__()
        self.operator = operator
        self.wide = wide

    def forward(self, inputs: list[Tensor], batch: int) -> Tensor:
        """What the operator makes of its tensors."""
        if self.wide:
            return compute(self.operator, [x.double() for x in inputs], batch).float()
        return compute(self.operator, inputs, batch)


class Scaled(Step):
    """Codes times their unit: real numbers."""

    factor: Tensor

    def __init__(self, factor: Real) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, inputs: list[Tensor], batch: int) -> Tensor:
        """Real numbers."""
        return inputs[0] * self.factor


class Added(Step):
    """The sum of two tensors, each times a factor."""

    def __init__(self, first: float, second: float) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, inputs: list[Tensor], batch: int) -> Tensor:
        """The sum."""
        a = inputs[0] if self.first == 1.0 else inputs[0] * self.first
        return torch.add(a, inputs[1], alpha=self.second)


class Rounded(Step):
    """Numbers onto a quantiser's grid, as codes less the zero point.

    `unit` is the size of one of the numbers, None for real ones. `pass_through`: a bound stops the
    gradient only where it stands at real zero, and is a ReLU. `clip` are real numbers at which the
    network clips what is rounded; they stop the gradient in every form.
    """

    factor: Tensor

    def __init__(
        self,
        quantiser: Quantiser,
        unit: Real | None,
        pass_through: bool,
        clip: Bounds = UNBOUND,
    ) -> None:
        super().__init__()
        zero = int(quantiser.zero_point)
        low, high = self.bounds = quantiser.low - zero, quantiser.high - zero
        # Half a step beyond a bound still rounds onto it.
        self.passing = (
            -math.inf if pass_through and low else low - 0.5,
            math.inf if pass_through and high else high + 0.5,
        )
        self.divides = unit is None and not quantiser.reciprocal
        factor = np.float32(1) / quantiser.scale if quantiser.reciprocal else quantiser.scale
        if unit is not None:
            factor = unit * factor if quantiser.reciprocal else unit / quantiser.scale
        self.register_buffer("factor", torch.tensor(np.asarray(factor, np.float32)))
        self.number = float(factor) if np.ndim(factor) == 0 else None
        if clip != UNBOUND:
            self._clip(clip, 1.0 if unit is None else float(np.max(unit)))

    def _clip(self, clip: Bounds, unit: float) -> None:
        """Narrow the bounds: rounding keeps order, so a clip before it is a clip behind it."""
        real = np.array(clip) / unit
        factor = 1.0 if self.number is None else self.number
        wide = torch.tensor(real, dtype=torch.float32)
        least, most = (wide / factor if self.divides else wide * factor).tolist()
        low, high = self.bounds
        self.bounds = _narrowed(low, high, least, most)
        self.passing = max(self.passing[0], least), min(self.passing[1], most)

    def forward(self, inputs: list[Tensor], batch: int) -> Tensor:
        """Whole numbers."""
        factor = self.factor if self.number is None else self.number
        out: Tensor = _Rounded.apply(inputs[0], factor, self.bounds, self.passing, self.divides)
        return out


def _narrowed(low: int, high: int, least: float, most: float) -> tuple[int, int]:
    """Bounds of whole numbers within others; never outside their own."""
    if math.isfinite(least):
        low = min(max(low, round(least)), high)
    if math.isfinite(most):
        high = max(min(high, round(most)), low)
    return low, high


class RoundedAlong(Step):
    """Real numbers onto a grid of its own for each place of an axis; they stay real.

    `clip` as in `Rounded`.
    """

    scale: Tensor
    zero: Tensor

    def __init__(self, quantiser: Quantiser, pass_through: bool, clip: Bounds = UNBOUND) -> None:
        super().__init__()
        self.quantiser = quantiser
        self.clip = clip
        self.pass_through = pass_through
        self.register_buffer("scale", torch.tensor(quantiser.scale))
        self.register_buffer("zero", torch.tensor(quantiser.zero_point.astype(np.float32)))

    def forward(self, inputs: list[Tensor], batch: int) -> Tensor:
        """The nearest numbers on the grids."""
        x, axis = inputs[0], self.quantiser.axis or 0
        shape = (-1, *[1] * (x.dim() - axis - 1))
        scale, zero = self.scale.reshape(shape), self.zero.reshape(shape)
        low, high = self.quantiser.low - zero, self.quantiser.high - zero
        # A bound at zero is a ReLU, which stops the gradient in every form.
        least = (low - 0.5).masked_fill(self.pass_through & (low != 0), -math.inf)
        most = (high + 0.5).masked_fill(self.pass_through & (high != 0), math.inf)
        reciprocal = self.quantiser.reciprocal
        # Tensors, as a number divided by a tensor is taken times its reciprocal.
        bounds = (torch.full_like(scale, bound) for bound in self.clip)
        at_low, at_high = (b * (1 / scale) if reciprocal else b / scale for b in bounds)
        low = torch.minimum(torch.maximum(low, at_low.round()), high)
        high = torch.maximum(torch.minimum(high, at_high.round()), low)
        passing = torch.maximum(least, at_low), torch.minimum(most, at_high)
        out: Tensor = _RoundedAlong.apply(x, scale, (low, high), passing, reciprocal)
        return out
