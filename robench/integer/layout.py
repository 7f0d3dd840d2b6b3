"""Where an engine keeps its tensors: pixels with interleaved channels, borders, and shared buffers.

A tensor of C channels takes `step` bytes a pixel (C rounded up to 16 lanes) and carries its border,
as wide as the widest padding among its readers, so that convolutions never test for edges. Buffers
are shared by tensors of the very same geometry whose lives do not overlap: their borders are filled
once and stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from robench.integer.ops import Add, Conv, Input, Linear, Logits, consumers, operands
from robench.integer.program import Program

GROUP = 16
"""Images whose features are kept together, so that their linear layers read weights once."""
LANES = 16
SLACK = 128
"""Bytes after a buffer that kernels may read (never use)."""


@dataclass(frozen=True)
class Tensor:
    """Geometry of one tensor in memory; sizes in bytes, logits in s32."""

    channels: int
    height: int
    width: int
    step: int
    halo: int
    border: bytes
    grouped: bool

    @property
    def pitch(self) -> int:
        """Bytes from one row to the next."""
        return (self.width + 2 * self.halo) * self.step

    @property
    def bytes(self) -> int:
        """Bytes of the tensor of one image, border included."""
        return (self.height + 2 * self.halo) * self.pitch

    @property
    def size(self) -> int:
        """Bytes of its buffer, a multiple of 64."""
        return -(-(self.bytes * (GROUP if self.grouped else 1) + SLACK) // 64) * 64

    def at(self, padding: int) -> int:
        """Byte offset of the pixel `padding` up and left of the first one."""
        return (self.halo - padding) * (self.pitch + self.step)


@dataclass(frozen=True)
class Plan:
    """Everything the generated code needs to know about memory and order."""

    tensors: dict[int, Tensor]
    offsets: dict[int, int]
    head: tuple[int, ...]
    tail: tuple[int, ...]
    residual: dict[int, int]
    scratch: int

    def borders(self) -> dict[int, Tensor]:
        """One tensor for each buffer that has a border, by offset."""
        return {self.offsets[i]: t for i, t in self.tensors.items() if t.halo}


def plan(program: Program) -> Plan:
    """Fuse, order and place the operations of a program.

    `head` runs image by image, `tail` (the last fully connected layers) for a group of images;
    `residual` maps each sum to the convolution computed along with it.
    """
    residual = _residuals(program)
    fused = set(residual.values())
    tail = _tail(program)
    order = [i for i in range(len(program.ops)) if i not in fused]
    grouped = {*tail, *(i for t in tail for i in operands(program.ops[t]))}
    tensors = {i: _tensor(program, i, i in grouped) for i in order}
    offsets, scratch = _place(program, order, tensors, residual)
    head = tuple(i for i in order if i not in tail)
    return Plan(tensors, offsets, head, tail, residual, scratch)


def _residuals(program: Program) -> dict[int, int]:
    """Sums of a convolution that nobody else reads, which can finish the sum in registers."""
    readers = consumers(program.ops)
    found = {}
    for index, op in enumerate(program.ops):
        if isinstance(op, Add) and op.a != op.b:
            for source in (op.a, op.b):
                if isinstance(program.ops[source], Conv) and readers[source] == [index]:
                    found[index] = source
                    break
    return found


def _tail(program: Program) -> tuple[int, ...]:
    """The chain of fully connected layers that ends the program."""
    readers = consumers(program.ops)
    chain: list[int] = []
    index = len(program.ops) - 1
    while isinstance(op := program.ops[index], Linear | Logits):
        chain.insert(0, index)
        index = op.x
        if len(readers[index]) != 1:
            break
    return tuple(chain)


def _tensor(program: Program, index: int, grouped: bool) -> Tensor:
    channels, height, width = program.shapes[index]
    op = program.ops[index]
    readers = [program.ops[i] for i in consumers(program.ops)[index]]
    padded = [r for r in readers if isinstance(r, Conv) and r.padding]
    step = -(-channels // LANES) * LANES * (4 if isinstance(op, Logits) else 1)
    if isinstance(op, Input) and all(isinstance(r, Conv) for r in readers):
        step = channels
    return Tensor(
        channels=channels,
        height=height,
        width=width,
        step=step,
        halo=max((r.padding for r in padded), default=0),
        border=padded[0].border.tobytes().ljust(step, b"\0") if padded else b"",
        grouped=grouped,
    )


def _place(
    program: Program, order: list[int], tensors: dict[int, Tensor], residual: dict[int, int]
) -> tuple[dict[int, int], int]:
    reads = {
        i: operands(program.ops[i]) + (operands(program.ops[residual[i]]) if i in residual else ())
        for i in order
    }
    last_read = {source: i for i in order for source in reads[i]}
    free: dict[Tensor, list[int]] = {}
    offsets: dict[int, int] = {}
    total = 0
    for index in order:
        tensor = tensors[index]
        if free.get(tensor):
            offsets[index] = free[tensor].pop()
        else:
            offsets[index] = total
            total += tensor.size
        for source in set(reads[index]):
            if last_read[source] == index and source in offsets:
                free.setdefault(tensors[source], []).append(offsets[source])
    return offsets, total
