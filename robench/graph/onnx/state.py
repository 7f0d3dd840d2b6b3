"""What the reader knows of each tensor of an ONNX file while it builds the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from robench.core.session import Port
from robench.graph.build import BATCHES, Builder, size_of
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.onnx.file import Array, Node
from robench.graph.table import (
    MAX_ELEMENTS,
    Binary,
    BinaryFunction,
    Operator,
    Quantise,
    Quantiser,
    Shape,
)

MAX_NUMBERS = 2 * MAX_ELEMENTS
"""Numbers in all constants that are made of others, at most."""
CODES = {
    "uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767),
    "uint4": (0, 15), "int4": (-8, 7), "int32": (-(2**31), 2**31 - 1),
}  # fmt: skip
"""Bounds of the types codes may have."""


@dataclass(frozen=True, eq=False)
class Known:
    """A tensor the file fixes, for each of the builder's two batches: it may count images.

    `step` is the real size of one code, where the file stores codes.
    """

    values: tuple[Array, ...]
    step: Array | None = None

    @classmethod
    def alike(cls, value: Array, step: Array | None = None) -> Known:
        """A tensor that is the same for every batch."""
        return cls((value,) * len(BATCHES), step)

    @property
    def fixed(self) -> Array | None:
        """The tensor, unless it depends on the batch."""
        first, *rest = self.values
        same = all(np.array_equal(first, other, equal_nan=False) for other in rest)
        return first if all(other is first for other in rest) or same else None


@dataclass(frozen=True)
class Live:
    """A tensor that depends on the image: its name in the table.

    `codes`: the file has codes of this grid here, where the table has real numbers.
    """

    name: str
    codes: Quantiser | None = None


class State:
    """The builder, and what each of the file's names stands for."""

    def __init__(self, entry: Port, opset: int) -> None:
        self.opset = opset
        self.builder = Builder(entry)
        codes = grid(np.ones((), np.float32), np.zeros((), np.int64), None, entry.dtype)
        self.tensors: dict[str, Known | Live] = {
            entry.name: Live(entry.name, codes if entry.dtype in CODES else None)
        }
        # Of each, it too: while it lives, nothing else has its id.
        self._made: dict[int, tuple[Known, str]] = {}
        self._fresh = 0
        self._numbers = 0

    def count(self, numbers: int) -> None:
        """Keep to a bound on all numbers that are made while reading."""
        self._numbers += numbers
        if self._numbers > MAX_NUMBERS:
            raise UnreadableFile(f"expected at most {MAX_NUMBERS} numbers among folded constants")

    def get(self, node: Node, place: int) -> Known | Live:
        """What an input stands for."""
        name = node.inputs[place] if node.given(place) else ""
        if name not in self.tensors:
            raise UnreadableFile(f"expected input {place} of {node.title}, got {name[:200]!r}")
        return self.tensors[name]

    def array(self, node: Node, place: int) -> Array:
        """An input that the file must fix."""
        value = self.get(node, place)
        if isinstance(value, Known) and value.fixed is not None:
            return value.fixed
        raise UnknownOperator([f"{node.title} whose input {place} the network computes"])

    def maybe(self, node: Node, place: int) -> Array | None:
        """An input that the file must fix, where it is given."""
        return self.array(node, place) if node.given(place) else None

    def number(self, node: Node, place: int, missing: float) -> float:
        """One number that the file must fix."""
        value = self.maybe(node, place)
        if value is not None and value.size != 1:
            raise UnreadableFile(f"expected one number in {node.title}, got {value.size}")
        return missing if value is None else float(value.item())

    def real(self, node: Node, place: int) -> str:
        """The name, in the table, of an input of real numbers."""
        value = self.get(node, place)
        if isinstance(value, Live):
            return value.name if value.codes is None else self.regrid(value, UNIT).name
        return self.constant(value, node)

    def constant(self, value: Known, node: Node) -> str:
        """The name, in the table, of real numbers that the file fixes; each is added once."""
        if id(value) not in self._made:
            array = value.fixed
            if array is None:
                return self._repeated(value, node)
            step = None if value.step is None else value.step.astype(np.float32)
            name = self.builder.constant(self.fresh("constant"), array.astype(np.float32), step)
            self._made[id(value)] = (value, name)
        return self._made[id(value)][1]

    def _repeated(self, value: Known, node: Node) -> str:
        """Numbers that are the same for every image, such as a class token."""
        row = value.values[0][:1]
        shape = self.shape(value)
        if not shape or not all(
            np.array_equal(v, np.broadcast_to(row, v.shape)) for v in value.values
        ):
            raise UnknownOperator([f"{node.title} on numbers that depend on the batch"])
        return self.builder.expand(self.constant(Known.alike(row), node), shape, self.fresh("rows"))

    def shape(self, value: Known | Live) -> Shape:
        """A tensor's shape, -k being k times the batch."""
        if isinstance(value, Live):
            return self.builder.shape(value.name)
        if len({v.ndim for v in value.values}) > 1:
            raise UnknownOperator(["numbers whose axes depend on the batch"])
        both = zip(*(v.shape for v in value.values), strict=True)
        return tuple(size_of("a constant", few, more) for few, more in both)

    def axes(self, node: Node, place: int = 0) -> int:
        """How many axes an input has."""
        return len(self.shape(self.get(node, place)))

    def fresh(self, stem: str) -> str:
        """A name of the reader's own."""
        self._fresh += 1
        return f"{stem}#{self._fresh}"

    def make(self, operator: Operator, codes: Quantiser | None = None) -> None:
        """Add an operator whose output has the file's own name."""
        self.tensors[operator.output] = Live(self.builder.add(operator), codes)

    def put(self, operator: Operator) -> str:
        """Add an operator between the file's own; its output is named by the reader."""
        return self.builder.add(replace(operator, output=self.fresh(operator.inputs[0])))

    def regrid(self, value: Live, codes: Quantiser) -> Live:
        """What the same codes stand for on another grid."""
        old = value.codes
        if old is None:
            raise UnknownOperator(["real numbers where codes are read"])
        if same(old, codes):
            return value
        if old.axis is not None or codes.axis is not None:
            raise UnknownOperator(["codes of a grid per channel, read as those of another"])
        # codes = x / old.scale + old.zero; new = (codes - new.zero) * new.scale
        ratio = np.float32(codes.scale) / np.float32(old.scale)
        shift = (int(old.zero_point) - int(codes.zero_point)) * np.float32(codes.scale)
        name = value.name
        if ratio != 1:
            name = self._paired(name, "multiply", ratio)
        if shift != 0:
            name = self._paired(name, "add", shift)
        return Live(name, codes)

    def _paired(self, x: str, function: BinaryFunction, number: np.float32) -> str:
        """A function of a tensor and a number."""
        other = self.builder.constant(self.fresh("number"), np.asarray(number, np.float32))
        return self.put(Binary(inputs=(x, other), output="", function=function))

    def quantise(self, x: str, quantiser: Quantiser, name: str) -> None:
        """Round onto a grid; the file has codes there."""
        self.make(Quantise(inputs=(x,), output=name, quantiser=quantiser), quantiser)


UNIT = Quantiser(np.ones((), np.float32), np.zeros((), np.int64), None, 0, 0)
"""Codes that stand for themselves."""


def same(a: Quantiser, b: Quantiser) -> bool:
    """Whether two grids give a code the same real number."""
    return (
        a.axis == b.axis
        and np.array_equal(a.scale, b.scale)
        and np.array_equal(a.zero_point, b.zero_point)
    )


def grid(scale: Array, zero_point: Array, axis: int | None, dtype: str) -> Quantiser:
    """The quantiser of a scale and a zero point. Raises UnreadableFile for impossible ones."""
    if dtype not in CODES:
        return UNIT
    scale, zero = np.asarray(scale, np.float32), np.asarray(zero_point, np.int64)
    if scale.size == 1:
        scale, zero, axis = scale.reshape(()), zero.reshape(-1)[:1].reshape(()), None
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0) or scale.shape != zero.shape:
        raise UnreadableFile("expected positive scales, each with its zero point")
    low, high = CODES[dtype]
    if np.any(zero < low) or np.any(zero > high):
        raise UnreadableFile(f"expected zero points in {low}..{high}")
    return Quantiser(scale, zero, axis, low, high)


def strides(values: Sequence[int]) -> tuple[int, int]:
    """Two numbers of an attribute, height and width. Raises UnknownOperator for other counts."""
    if len(values) != 2:
        raise UnknownOperator([f"an operator on images of {len(values)} axes"])
    return int(values[0]), int(values[1])


def full_rank(step: Array, axes: int) -> Array:
    """A step with as many axes as what it is the step of; one for all stays one."""
    return step if step.size == 1 else step.reshape((1,) * (axes - step.ndim) + step.shape)
