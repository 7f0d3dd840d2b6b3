"""The differentiable twin of a foreign file: its table in torch, rounding straight through.

Forms differ in the gradient of quantisers alone, and `open_output` in the logits' own rounding:

faithful        the file's numbers; no gradient where a quantiser saturates
open_output     the output's quantisers left out: logits neither round nor saturate
pass_through    the file's numbers; saturation passes the gradient, but for a bound at real zero,
                which stands for the ReLU that toolchains fold into it
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from robench.graph.compute import compute
from robench.graph.table import (
    Graph,
    Operator,
    Plain,
    Quantise,
    Quantiser,
    Reshape,
    Softmax,
    Transpose,
    Unary,
)

Form = Literal["faithful", "open_output", "pass_through"]


class GraphTwin(nn.Module):
    """From the file's own input tensor (its layout and scale, float32) to its output tensor."""

    def __init__(self, graph: Graph, form: Form = "faithful") -> None:
        super().__init__()
        self.graph = graph
        self.form = form
        opened = output_quantisers(graph) if form == "open_output" else frozenset[str]()
        self.quantisers = nn.ModuleDict()
        for index, operator in enumerate(graph.operators):
            if isinstance(operator, Quantise) and operator.output not in opened:
                inner = StraightThrough(operator.quantiser, form == "pass_through")
                self.quantisers[str(index)] = inner
        self._names = {name: f"constant_{i}" for i, name in enumerate(graph.constants)}
        for name, buffer in self._names.items():
            self.register_buffer(buffer, torch.from_numpy(graph.constants[name].values.copy()))
        self._last = {name: i for i, op in enumerate(graph.operators) for name in op.inputs}

    def forward(self, x: Tensor) -> Tensor:
        """The file's output, real numbers, for a batch of its input."""
        values = {name: getattr(self, buffer) for name, buffer in self._names.items()}
        values[self.graph.input.name] = x
        for index, operator in enumerate(self.graph.operators):
            inputs = [values[name] for name in operator.inputs]
            values[operator.output] = self._one(index, operator, inputs, len(x))
            for name in operator.inputs:
                if self._last[name] == index:
                    values.pop(name, None)
        out: Tensor = values[self.graph.output.name]
        return out

    def _one(self, index: int, operator: Operator, inputs: list[Tensor], batch: int) -> Tensor:
        if isinstance(operator, Quantise):
            key = str(index)
            return self.quantisers[key](inputs[0]) if key in self.quantisers else inputs[0]
        assert isinstance(operator, Plain)
        return compute(operator, inputs, batch)


def output_quantisers(graph: Graph) -> frozenset[str]:
    """The outputs of quantisers that nothing but softmax, sigmoid and views follows."""
    makers = {operator.output: operator for operator in graph.operators}
    found, name = set(), graph.output.name
    while name in makers:
        operator = makers[name]
        if isinstance(operator, Quantise):
            found.add(name)
        elif not _last_of_all(operator):
            break
        name = operator.inputs[0]
    return frozenset(found)


def _last_of_all(operator: Operator) -> bool:
    """Whether an operator behind the logits keeps their order."""
    if isinstance(operator, Unary):
        return operator.function in ("identity", "sigmoid")
    return isinstance(operator, Reshape | Transpose | Softmax)


class StraightThrough(nn.Module):
    """A quantiser whose rounding passes the gradient and whose bounds stop it, or pass it."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, quantiser: Quantiser, pass_through: bool) -> None:
        super().__init__()
        self.quantiser = quantiser
        self.pass_through = pass_through
        self.register_buffer("scale", torch.tensor(quantiser.scale))
        zero = quantiser.zero_point.astype("float32")
        self.register_buffer("zero_point", torch.tensor(zero))

    def forward(self, x: Tensor) -> Tensor:
        """The nearest numbers on the grid."""
        scale, zero = (
            _along(t, self.quantiser.axis, x.dim()) for t in (self.scale, self.zero_point)
        )
        out: Tensor = _Rounded.apply(x, scale, zero, self.quantiser, self.pass_through)
        return out


def _along(values: Tensor, axis: int | None, axes: int) -> Tensor:
    """One number for each place of an axis, shaped to broadcast."""
    return values if axis is None else values.reshape(-1, *[1] * (axes - axis - 1))


class _Rounded(torch.autograd.Function):
    """Onto the grid; the gradient is 1 between the bounds."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, zero: Tensor, quantiser: Quantiser, passing: bool
    ) -> Tensor:
        ratio = x * (1 / scale) if quantiser.reciprocal else x / scale
        codes = ratio.round_()
        low, high = quantiser.low - zero, quantiser.high - zero
        inside = codes.clamp(low, high)
        if passing:  # a bound at zero is a ReLU
            relu = (codes >= low) | (low != 0), (codes <= high) | (high != 0)
            ctx.save_for_backward(relu[0] & relu[1])
        else:
            ctx.save_for_backward(codes == inside)
        return inside.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (mask,) = ctx.saved_tensors
        return grads[0] * mask, None, None, None, None
