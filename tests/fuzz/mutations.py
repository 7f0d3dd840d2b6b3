"""Mutated integer programs: bytes, fields, arrays, edges and order changed, the checksum right."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from robench.integer.file import _HEADER, KINDS, _encode, program_bytes
from robench.integer.ops import Op
from robench.integer.program import Program
from tests.integer.integer_programs import RandomProgram, resealed

Ops = tuple[Op, ...]
CORNERS = (
    0, 1, -1, 2, 3, 16, 31, 32, 33, 255, 256, 2**15 - 1, 2**15, 2**16, 2**26, 2**26 + 1, 2**31 - 1,
    2**31, -(2**31), -(2**31) - 1, 2**32, 2**61, 2**62, 2**62 + 1, 2**63 - 1, -(2**63),
)  # fmt: skip
"""Integers at the ends of what fields, shifts and sums may hold."""


def random_program(rng: random.Random) -> Program:
    """A valid program of all operations."""
    return RandomProgram(rng.randint).build()


def mutated(program: Program, rng: random.Random) -> bytes:
    """A file made of a program's by a few changes; its checksum is always right."""
    if rng.random() < 0.3:
        return resealed(_changed_bytes(program_bytes(program)[_HEADER.size :], rng))
    ops = program.ops
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        ops = rng.choice(CHANGES)(ops, rng)
    return resealed(body(ops))


def body(ops: Sequence[Op]) -> bytes:
    """The operations as a file holds them, whether or not they are a program."""
    parts = [struct.pack("<I", len(ops))]
    for op in ops:
        parts.append(struct.pack("<B", KINDS.index(type(op))))
        parts += [_encode(field.type, getattr(op, field.name)) for field in fields(op)]
    return b"".join(parts)


def _changed_bytes(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        # Most bytes are weights: the first of them, where the structure stands, are hit as often.
        at = rng.randrange(rng.choice((min(len(data), 200), len(data))) or 1)
        how = rng.randrange(4)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            data[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
        elif how == 2:
            data[at : at + 8] = struct.pack("<Q", rng.choice(CORNERS) % 2**64)
        else:
            del data[rng.randrange(len(data) + 1) :]
    return bytes(data)


def _number(ops: Ops, rng: random.Random) -> Ops:
    """Another value in an integer field."""
    at, names = _some(ops, "int", rng)
    if not names:
        return ops
    name = rng.choice(names)
    value = getattr(ops[at], name)
    near = (value + 1, value - 1, 2 * value, value // 2, -value, rng.randint(-4, 40))
    new = rng.choice((rng.choice(near), rng.choice(CORNERS)))
    return _put(ops, at, replace(ops[at], **{name: _s64(new)}))


def _edge(ops: Ops, rng: random.Random) -> Ops:
    """Another operand."""
    at = rng.randrange(len(ops))
    names = [f.name for f in fields(ops[at]) if f.name in ("x", "a", "b")]
    if not names:
        return ops
    return _put(ops, at, replace(ops[at], **{rng.choice(names): rng.randint(-1, len(ops))}))


def _array(ops: Ops, rng: random.Random) -> Ops:
    """Another size, number of axes, order of axes, or other content of an array."""
    at, names = _some(ops, "array", rng)
    if not names:
        return ops
    name = rng.choice(names)
    return _put(ops, at, replace(ops[at], **{name: _other_array(getattr(ops[at], name), rng)}))


def _other_array(array: Any, rng: random.Random) -> Any:
    how, axis = rng.randrange(6), rng.randrange(max(1, array.ndim))
    if how == 0 and array.ndim:
        shape = list(array.shape)
        shape[axis] = max(0, rng.choice((shape[axis] + 1, shape[axis] - 1, 0, 1, 2, 40)))
        return np.resize(array, shape)
    if how == 1:
        return array[..., None] if rng.random() < 0.5 else array.reshape(-1)
    if how == 2:
        return array.T
    info = np.iinfo(array.dtype)
    ends = [info.min, info.min + 1, -1, 0, 1, info.max]
    value = rng.choice([end for end in ends if end >= info.min])
    if how == 3 or not array.size:
        return np.full_like(array, value)
    changed = array.copy()
    changed.flat[rng.randrange(array.size)] = value
    return changed


def _channels(ops: Ops, rng: random.Random) -> Ops:
    """Another number of outputs of a weighted operation, in all its arrays."""
    at = rng.randrange(len(ops))
    names = [n for n in ("weight", "bias", "multiplier") if hasattr(ops[at], n)]
    if "weight" not in names:
        return ops
    out = rng.randint(1, 40)
    arrays = {n: getattr(ops[at], n) for n in names}
    sized = {n: np.resize(a, (out, *a.shape[1:])) for n, a in arrays.items()}
    return _put(ops, at, replace(ops[at], **sized))


def _without(ops: Ops, rng: random.Random) -> Ops:
    """One operation less; those that read it read what it read."""
    if len(ops) < 2:
        return ops
    at = rng.randrange(len(ops))
    moved = [_renumbered(op, lambda i: i - (i >= at)) for op in ops[at + 1 :]]
    return (*ops[:at], *moved)


def _twice(ops: Ops, rng: random.Random) -> Ops:
    """One operation twice, or one of another program after it."""
    at = rng.randrange(len(ops))
    new = rng.choice((ops[at], rng.choice(random_program(rng).ops)))
    if rng.random() < 0.7:
        new = _renumbered(new, lambda _: at)
    chain = rng.random() < 0.5  # or else nobody reads the new one
    moved = [_renumbered(op, lambda i: i + (i > at or (chain and i == at))) for op in ops[at + 1 :]]
    return (*ops[: at + 1], new, *moved)


def _swapped(ops: Ops, rng: random.Random) -> Ops:
    """Two operations in each other's place."""
    changed = list(ops)
    one, other = rng.randrange(len(ops)), rng.randrange(len(ops))
    changed[one], changed[other] = changed[other], changed[one]
    return tuple(changed)


def _crossed(ops: Ops, rng: random.Random) -> Ops:
    """The beginning of one program, the end of another."""
    other = random_program(rng).ops
    return (*ops[: rng.randint(1, len(ops))], *other[rng.randrange(len(other)) :])


CHANGES: tuple[Callable[[Ops, random.Random], Ops], ...] = (
    _number, _number, _number, _edge, _array, _array, _channels, _without, _twice, _swapped,
    _crossed,
)  # fmt: skip


def _put(ops: Ops, at: int, op: Op) -> Ops:
    return (*ops[:at], op, *ops[at + 1 :])


def _s64(value: int) -> int:
    return max(-(2**63), min(2**63 - 1, value))


def _renumbered(op: Op, place: Callable[[int], int]) -> Op:
    names = [f.name for f in fields(op) if f.name in ("x", "a", "b")]
    return replace(op, **{name: _s64(place(getattr(op, name))) for name in names})


def _some(ops: Ops, kind: str, rng: random.Random) -> tuple[int, list[str]]:
    """A random operation, and its fields that are integers, or those that are arrays."""
    at = rng.randrange(len(ops))
    return at, [f.name for f in fields(ops[at]) if (f.type == "int") == (kind == "int")]
