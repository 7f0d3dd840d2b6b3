"""The differentiable twin of a foreign file: its table in torch, rounding straight through.

Forms differ in the gradient of quantisers alone, and `open_output` in the logits' own rounding:

faithful        the file's numbers; no gradient where a quantiser saturates
open_output     the output's quantisers left out: logits neither round nor saturate
pass_through    the file's numbers; saturation passes the gradient, but for a bound at real zero,
                which stands for the ReLU that toolchains fold into it
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from robench.graph.plan import Plan
from robench.graph.table import (
    Graph,
    Operator,
    Quantise,
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
        opened = output_quantisers(graph) if form == "open_output" else frozenset[str]()
        plan = Plan(graph, opened, form == "pass_through")
        self.graph = graph
        self.form = form
        self.steps = nn.ModuleList(line.step for line in plan.lines)
        self._lines = [(line.inputs, line.output) for line in plan.lines]
        self._last = plan.last_readers()
        self._output = plan.output
        self._buffers_of = {name: f"constant_{i}" for i, name in enumerate(plan.constants)}
        for name, buffer in self._buffers_of.items():
            self.register_buffer(buffer, torch.tensor(plan.constants[name].values))

    def forward(self, x: Tensor) -> Tensor:
        """The file's output, real numbers, for a batch of its input."""
        values = {name: getattr(self, buffer) for name, buffer in self._buffers_of.items()}
        values[self.graph.input.name] = x
        for index, (step, (names, output)) in enumerate(zip(self.steps, self._lines, strict=True)):
            values[output] = step([values[name] for name in names], len(x))
            for name in names:
                if self._last[name] == index:
                    values.pop(name, None)
        out: Tensor = values[self._output]
        return out


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
