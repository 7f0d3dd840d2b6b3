"""A table becomes steps: codes are kept as codes where that makes sums exact and steps few.

A quantiser's output is held as whole numbers and a unit, not as real numbers; a convolution of
whole numbers with weights stored as codes gives whole numbers again, in units of both together, and
the next quantiser takes them times one factor, as integer kernels do. In float32 such sums are
exact below 2**24, which is known from the weights; beyond, they are taken in float64 where the file
defines them as integers. Whatever knows no unit gets real numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from robench.graph.rounding import (
    UNBOUND,
    Added,
    Bounds,
    Computed,
    Rounded,
    RoundedAlong,
    Scaled,
    Step,
)
from robench.graph.table import (
    AveragePool,
    Binary,
    Clip,
    Concat,
    Constant,
    Conv,
    Expand,
    Gather,
    Graph,
    MatMul,
    MaxPool,
    Operator,
    Pad,
    Plain,
    Quantise,
    Quantiser,
    Real,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    Unary,
)

RELU: Bounds = (0.0, math.inf)
EXACT = 2**24
"""Whole numbers below this are exact in float32."""


@dataclass(frozen=True)
class Line:
    """A step, the tensors it reads, and the one it makes."""

    step: Step
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Held:
    """How a tensor is held: real = number * unit; no unit: it is real.

    `largest` bounds whole numbers, and is infinite where numbers need not be whole. `grid` is the
    quantiser whose codes they are.
    """

    unit: Real | None = None
    largest: float = math.inf
    grid: Quantiser | None = None

    @property
    def scalar(self) -> bool:
        """Whether there is one unit for all numbers."""
        return self.unit is not None and self.unit.ndim == 0

    @property
    def whole(self) -> bool:
        """Whether numbers are whole, in one unit."""
        return self.scalar and math.isfinite(self.largest)


class Plan:
    """The steps of a table, and the constants they read."""

    def __init__(self, graph: Graph, opened: Collection[str], pass_through: bool) -> None:
        self.lines: list[Line] = []
        self.pass_through = pass_through
        self._opened, self._target = opened, graph.output.name
        self._readers: dict[str, list[Operator]] = {}
        for operator in graph.operators:
            for name in operator.inputs:
                self._readers.setdefault(name, []).append(operator)
        self._constants: dict[str, Constant] = dict(graph.constants)
        self._held: dict[str, Held] = {graph.input.name: Held()}
        self._names: dict[str, str] = {}
        self._clips: dict[str, tuple[str, Bounds]] = {}
        """Outputs of clips that a quantiser alone reads and does along with its own: what they
        clip, and at what real numbers."""
        self._real: dict[str, str] = {}
        for operator in graph.operators:
            self._add(operator)
        self.output = self._made_real(graph.output.name)
        self.constants: Mapping[str, Constant] = {
            name: self._constants[name]
            for line in self.lines
            for name in line.inputs
            if name in self._constants
        }

    def last_readers(self) -> Mapping[str, int]:
        """The last line that reads each tensor."""
        return {name: i for i, line in enumerate(self.lines) for name in line.inputs}

    def _add(self, operator: Operator) -> None:
        if isinstance(operator, Quantise):
            self._quantise(operator)
            return
        assert isinstance(operator, Plain)
        bounds = _clips(operator)
        if bounds is not None and isinstance(self._only_reader(operator.output), Quantise):
            self._clips[operator.output] = operator.inputs[0], bounds
            return
        held = self._planned(operator)
        if held is None:
            inputs = tuple(self._made_real(name) for name in operator.inputs)
            self._line(Computed(operator), inputs, operator.output, Held())

    def _planned(self, operator: Plain) -> Held | None:
        """Plan an operator on codes; None where it takes real numbers."""
        if isinstance(operator, Conv | MatMul):
            return self._weighted(operator)
        if isinstance(operator, Binary):
            return self._pair(operator)
        if isinstance(operator, Concat):
            return self._concat(operator)
        held = self._of(operator.inputs[0])
        kept = _kept(operator, held) if held.unit is not None else None
        if kept is None:
            return None
        line = _in_units(operator, held)
        inputs = (self._name(operator.inputs[0]), *operator.inputs[1:])
        return self._line(Computed(line), inputs, operator.output, kept)

    def _quantise(self, operator: Quantise) -> None:
        name, quantiser = operator.inputs[0], operator.quantiser
        name, bounds = self._clips.get(name, (name, UNBOUND))
        held = self._of(name)
        if bounds not in (UNBOUND, RELU) and not held.scalar:
            name, held = self._made_real(name), Held()
        same = bounds == UNBOUND and held.grid is not None and _same(held.grid, quantiser)
        if operator.output in self._opened or same:
            self._names[operator.output] = self._name(name)
            self._held[operator.output] = held
            return
        if quantiser.axis is not None:
            step: Step = RoundedAlong(quantiser, self.pass_through, bounds)
            self._line(step, (self._made_real(name),), operator.output, Held())
            return
        rounded = Rounded(quantiser, held.unit, self.pass_through, bounds)
        largest = float(max(map(abs, rounded.bounds)))
        unit = np.asarray(quantiser.scale, np.float32)
        self._line(rounded, (self._name(name),), operator.output, Held(unit, largest, quantiser))

    def _weighted(self, operator: Conv | MatMul) -> Held | None:
        """Sums of whole numbers, where the weights are stored as codes."""
        x, weight = self._of(operator.inputs[0]), self._constants.get(operator.inputs[1])
        if not x.whole or x.unit is None or weight is None or weight.step is None:
            return None
        columns = isinstance(operator, MatMul)
        if columns and weight.values.ndim != 2:
            return None
        step = _outputs(weight.step, weight.values.ndim, columns)
        if step is None:
            return None
        unit = np.asarray(x.unit * step, np.float32)
        codes = np.rint(weight.values / np.asarray(weight.step))
        sums = np.abs(codes).sum(0 if columns else (1, 2, 3), dtype=np.float64) * x.largest
        names = [self._name(operator.inputs[0]), self._constant(operator.inputs[1], codes)]
        if len(operator.inputs) > 2:
            bias = self._bias(operator.inputs[2], unit, sums.shape)
            if bias is None:
                return None
            sums = sums + np.abs(bias)
            names.append(self._constant(operator.inputs[2], bias))
        wide = operator.exact and float(sums.max(initial=0)) >= EXACT
        if unit.ndim:
            rank = 4 if isinstance(operator, Conv) else None
            unit = unit.reshape(1, -1, 1, 1) if rank else unit
        return self._line(Computed(operator, wide), tuple(names), operator.output, Held(unit))

    def _bias(self, name: str, unit: Real, shape: tuple[int, ...]) -> Real | None:
        """A bias in units of the sums: whole where it is stored so."""
        bias = self._constants.get(name)
        if bias is None or bias.values.shape != shape:
            return None
        codes = bias.values.astype(np.float64) / unit
        stored = bias.step is not None and np.allclose(bias.step, unit, rtol=1e-6, atol=0)
        return np.asarray(np.rint(codes) if stored else codes, np.float32)

    def _pair(self, operator: Binary) -> Held | None:
        """Sums, differences and products of codes."""
        a, b = (self._of(name) for name in operator.inputs)
        if not (a.scalar and b.scalar) or a.unit is None or b.unit is None:
            return None
        names = tuple(self._name(name) for name in operator.inputs)
        if operator.function == "multiply":
            held = Held(np.asarray(a.unit * b.unit, np.float32))
            return self._line(Computed(operator), names, operator.output, held)
        if operator.function not in ("add", "subtract"):
            return None
        unit = self._next_unit(operator.output, a.unit)
        first, second = float(a.unit / unit), float(b.unit / unit)
        step = Added(first, second if operator.function == "add" else -second)
        return self._line(step, names, operator.output, Held(unit))

    def _next_unit(self, name: str, usual: Real) -> Real:
        """The unit of the quantiser that alone reads a tensor, so that it has nothing to scale."""
        reader = self._only_reader(name)
        if not isinstance(reader, Quantise):
            return usual
        return usual if reader.quantiser.axis is not None else reader.quantiser.scale

    def _only_reader(self, name: str) -> Operator | None:
        """What alone reads a tensor, unless it is left open."""
        readers = self._readers.get(name, [])
        alone = len(readers) == 1 and name != self._target
        return readers[0] if alone and readers[0].output not in self._opened else None

    def _concat(self, operator: Concat) -> Held | None:
        """Codes of one grid beside each other."""
        parts = [self._of(name) for name in operator.inputs]
        first = parts[0]
        if not all(p.grid is not None and first.grid and _same(p.grid, first.grid) for p in parts):
            return None
        names = tuple(self._name(name) for name in operator.inputs)
        return self._line(Computed(operator), names, operator.output, first)

    def _line(self, step: Step, inputs: tuple[str, ...], output: str, held: Held) -> Held:
        self.lines.append(Line(step, inputs, output))
        self._held[output] = held
        return held

    def _of(self, name: str) -> Held:
        return self._held.get(name, Held())

    def _name(self, name: str) -> str:
        return self._names.get(name, name)

    def _constant(self, name: str, values: Real) -> str:
        """A constant in other units, under a name of its own."""
        counted = f"{name}#{len(self._constants)}"
        self._constants[counted] = Constant(np.array(values, np.float32, order="C"))
        return counted

    def _made_real(self, name: str) -> str:
        """A tensor in real numbers: made at most once."""
        name = self._name(name)
        held = self._of(name)
        if held.unit is None:
            return name
        if name not in self._real:
            self._real[name] = f"{name}#real"
            self._line(Scaled(held.unit), (name,), self._real[name], Held())
        return self._real[name]


def _clips(operator: Plain) -> Bounds | None:
    """Where an operator that only clips does so."""
    if isinstance(operator, Clip):
        return operator.low, operator.high
    return RELU if isinstance(operator, Unary) and operator.function == "relu" else None


def _outputs(step: Real, axes: int, columns: bool) -> Real | None:
    """One step for all weights, or one for each output; None for any others."""
    if step.size == 1:
        return step.reshape(())
    shape = (1,) * (axes - step.ndim) + step.shape
    place = axes - 1 if columns else 0
    rest = shape[:place] + shape[place + 1 :]
    return step.reshape(-1) if all(size == 1 for size in rest) else None


def _same(a: Quantiser, b: Quantiser) -> bool:
    """Whether two quantisers of one grid each are one: rounding onto it again changes nothing."""
    return (a.axis, b.axis, a.low, a.high, float(a.scale), int(a.zero_point)) == (
        None, None, b.low, b.high, float(b.scale), int(b.zero_point)
    )  # fmt: skip


def _kept(operator: Plain, held: Held) -> Held | None:
    """How an operator's output is held, where it has the same units as its input."""
    unit = held.unit
    if isinstance(operator, MaxPool):
        return held
    if isinstance(operator, Unary) and operator.function in ("identity", "relu"):
        return held
    if isinstance(operator, AveragePool):
        return Held(unit)
    if isinstance(operator, Transpose) and unit is not None:
        if unit.ndim not in (0, len(operator.order)):
            return None
        return replace(held, unit=unit.transpose(operator.order) if unit.ndim else unit)
    if not held.scalar or unit is None:
        return None
    if isinstance(operator, Reshape | Slice | Gather | Expand):
        return held
    if isinstance(operator, Pad):
        return replace(
            held, grid=None, largest=max(held.largest, abs(operator.value / float(unit)))
        )
    if isinstance(operator, Clip):
        return Held(unit)
    if isinstance(operator, Reduce) and operator.function in ("mean", "sum", "max", "min"):
        return Held(unit)
    return None


def _in_units(operator: Plain, held: Held) -> Plain:
    """The operator, its own numbers in the units of its input."""
    unit = float(held.unit) if held.scalar and held.unit is not None else 1.0
    if isinstance(operator, Pad) and operator.value:
        return replace(operator, value=round(operator.value / unit, 9))
    if isinstance(operator, Clip):
        return replace(operator, low=operator.low / unit, high=operator.high / unit)
    return operator
