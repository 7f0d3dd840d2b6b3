"""What every reader builds its table with: shapes are followed, bounds kept, dead lines dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from robench.base.errors import UserError
from robench.core.session import Port
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.shapes import shape_of
from robench.graph.table import (
    MAX_ELEMENTS,
    MAX_IMAGE,
    MAX_OPERATORS,
    Constant,
    Expand,
    Graph,
    Operator,
    Plain,
    Quantise,
    Real,
    Reshape,
    Shape,
)

BATCHES = (2, 3)
"""Every tensor's shape is found for two batches, so that what grows with the batch is known."""


class Builder:
    """A table in the making: constants and operators go in, shapes come out.

    Batches are free whatever the file says: a file for B images at a time (`fixed`) is read as
    one for any number, which is right for networks that never mix images.
    """

    def __init__(self, entry: Port) -> None:
        self.input = entry
        self.fixed = entry.shape[0]
        self.constants: dict[str, Constant] = {}
        self.operators: list[Operator] = []
        self._shapes: dict[str, tuple[Shape, ...]] = {}
        rest = [_known(entry, size) for size in entry.shape[1:]]
        if self.fixed is not None and self.fixed < 1:
            raise UnreadableFile(f"expected a batch of one image or more, got {self.fixed}")
        self._keep(entry.name, [(n, *rest) for n in BATCHES])

    def constant(
        self,
        name: str,
        values: npt.NDArray[Any],
        step: Real | None = None,
        bits: int | None = None,
    ) -> str:
        """Add a tensor of the file: floats become float32, integers int64. Returns its name.

        `step` and `bits` are those of `Constant`.
        """
        if values.size > MAX_ELEMENTS:
            raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers in {name!r}")
        kind = np.float32 if values.dtype.kind == "f" else np.int64
        self.constants[name] = Constant(np.array(values, kind, order="C"), step, bits)
        self._shapes[name] = (tuple(values.shape),) * len(BATCHES)
        return name

    def add(self, operator: Operator) -> str:
        """Add an operator behind all it reads. Returns its output's name.

        Raises: UnreadableFile when its tensors do not fit it, or for one beyond the bounds.
        """
        if len(self.operators) >= MAX_OPERATORS:
            raise UnreadableFile(f"expected at most {MAX_OPERATORS} operators")
        if operator.output in self._shapes:
            raise UnreadableFile(f"expected each tensor to be made once, got {operator.output!r}")
        shapes = []
        for place, batch in enumerate(BATCHES):
            inputs = [self._both(name)[place] for name in operator.inputs]
            shapes.append(self._followed(operator, inputs, batch))
        self._keep(operator.output, shapes)
        self.operators.append(operator)
        return operator.output

    def reshape(self, x: str, shape: Sequence[int | None], output: str) -> str:
        """Add a reshape to a file's shape, as `reshaped` understands it."""
        return self.add(self.reshaped(x, shape, output))

    def reshaped(self, x: str, shape: Sequence[int | None], output: str) -> Reshape:
        """A reshape to a file's shape, in which the batch may hide; `None` is what is left over.

        A literal of a file for a fixed batch is taken to hold the batch in its first size.
        """
        return Reshape(inputs=(x,), output=output, shape=self._free(x, list(shape)))

    def expand(self, x: str, shape: Shape, output: str) -> str:
        """Add a repetition of sizes of 1."""
        return self.add(Expand(inputs=(x,), output=output, shape=shape))

    def shape(self, name: str) -> Shape:
        """A tensor's shape, where -k is k times the batch."""
        few, more = self._both(name)
        return tuple(size_of(name, a, b) for a, b in zip(few, more, strict=True))

    def batched(self, name: str) -> bool:
        """Whether a tensor depends on the input (a constant, and what is made of such, does not).

        Read off its shape: a tensor that grows with the batch depends on it.
        """
        return any(size < 0 for size in self.shape(name))

    def finish(self, out: Port) -> Graph:
        """The table, without the lines and constants that its output does not need."""
        self._both(out.name)
        needed, kept = {out.name}, []
        for operator in reversed(self.operators):
            if operator.output in needed:
                needed.update(operator.inputs)
                kept.append(operator)
        constants = {name: value for name, value in self.constants.items() if name in needed}
        if self.input.name not in needed:
            raise UnreadableFile(
                f"expected output {out.name!r} to depend on the input, it does not"
            )
        return Graph(self.input, out, constants, tuple(reversed(kept)))

    def _free(self, x: str, shape: list[int | None]) -> Shape:
        """A file's shape with the batch free."""
        few, more = (math.prod(shape) for shape in self._both(x))
        known = math.prod(size for size in shape if size is not None)
        holds_batch = few == more or known < 0 or self.fixed is None or shape[:1] == [None]
        # What the shape must hold for one image, or for the batch the file fixes.
        total = few if few == more else (more - few) * (1 if holds_batch else self.fixed or 1)
        left = total // abs(known) if known else 0
        full = [left if size is None else size for size in shape]
        if shape.count(None) > 1 or abs(math.prod(full)) != total:
            raise UnreadableFile(f"expected {total} numbers in a shape, got {tuple(shape)}")
        if few != more and not holds_batch:
            if full[0] % (self.fixed or 1):
                raise UnknownOperator([f"a batch that is not the first size of {tuple(full)}"])
            return (-(full[0] // (self.fixed or 1)), *full[1:])
        if few != more and known > 0:
            return tuple(-left if size is None else size for size in shape)
        return tuple(full)

    def _followed(self, operator: Operator, inputs: list[Shape], batch: int) -> Shape:
        """The shape of an operator's output, for a batch that the file may not have meant."""
        try:
            return _made(operator, inputs, batch)
        except UnreadableFile as error:
            if self.fixed is None:
                raise
            kind = type(operator).__name__
            raise UnknownOperator([f"{kind} that fits batches of {self.fixed} alone"]) from error

    def _both(self, name: str) -> tuple[Shape, ...]:
        if name not in self._shapes:
            raise UnreadableFile(f"expected tensor {name!r} to be made before it is read")
        return self._shapes[name]

    def _keep(self, name: str, shapes: Sequence[Shape]) -> None:
        if math.prod(shapes[0]) > MAX_IMAGE * BATCHES[0]:
            raise UnreadableFile(f"expected at most {MAX_IMAGE} numbers an image in {name!r}")
        self._shapes[name] = tuple(shapes)


def chosen(what: str, ports: tuple[Port, ...], name: str | None) -> Port:
    """The port of a name, or the only one; raises UserError."""
    names = ", ".join(repr(port.name) for port in ports[:20])
    if name is None and len(ports) == 1:
        return ports[0]
    found = [port for port in ports if port.name == name]
    if not found:
        wanted = f"a name of several {what}s" if name is None else f"an {what} {name!r}"
        raise UserError(f"expected {wanted}, got {names or 'none'}; name one of them")
    return found[0]


def named(graph: Graph, port: Port) -> Graph:
    """The table with its output under a port's name."""
    old = graph.output.name
    taken = {operator.output for operator in graph.operators}
    if port.name in taken | set(graph.constants) | {graph.input.name}:
        raise UnreadableFile(f"expected one tensor of the name {port.name!r}, got several")
    operators = tuple(
        replace(
            one,
            inputs=tuple(port.name if name == old else name for name in one.inputs),
            output=port.name if one.output == old else one.output,
        )
        for one in graph.operators
    )
    return Graph(graph.input, port, graph.constants, operators)


def _made(operator: Operator, inputs: list[Shape], batch: int) -> Shape:
    """The shape of an operator's output."""
    if isinstance(operator, Quantise):
        return inputs[0]
    assert isinstance(operator, Plain)
    try:
        return shape_of(operator, inputs, batch)
    except (ValueError, IndexError) as error:
        kind = type(operator).__name__
        raise UnreadableFile(f"expected shapes that fit, got {kind}: {error}") from error


def _known(entry: Port, size: int | None) -> int:
    """A size of an image, which a file may not leave free."""
    if size is None or size < 1:
        raise UnknownOperator([f"an input {entry.name!r} of free size {entry.shape}"])
    return size


def size_of(name: str, few: int, more: int) -> int:
    """A size that is fixed, or a multiple of the batch as a negative number."""
    if few == more:
        return few
    if few * BATCHES[1] != more * BATCHES[0] or few % BATCHES[0]:
        raise UnknownOperator([f"a size of {name!r} that is no multiple of the batch"])
    return -(few // BATCHES[0])
