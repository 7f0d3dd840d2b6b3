"""A program as one file: flat, versioned, checksummed, little-endian; nothing in it is evaluated.

magic "RBIP"   version u32   length u64 of the rest   sha256 of the rest   the rest:
count u32, then for each operation: kind u8, then its fields in order of their definition:
an integer as s64, an array as dimensions u8, each size u32, and its elements
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from robench.base.errors import UserError
from robench.integer.check import MAX_OPS
from robench.integer.ops import (
    MAX_ELEMENTS,
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
)
from robench.integer.program import Program

MAGIC = b"RBIP"
VERSION = 2
MAX_FILE = 2**30
"""Bytes of a file, beyond which it is not read."""
_HEADER = struct.Struct("<4sIQ32s")
KINDS: tuple[type[Op], ...] = (
    Input, Conv, Linear, Add, Affine, MaxPool, AvgPool, Flatten, Logits,
)  # fmt: skip
"""The number of each operation in a file is its place here, so it never changes."""
_ARRAYS: dict[str, np.dtype[Any]] = {
    "Int8": np.dtype("<i1"),
    "UInt8": np.dtype("<u1"),
    "Int32": np.dtype("<i4"),
}


def program_bytes(program: Program) -> bytes:
    """The file's content; equal programs give equal bytes."""
    parts = [struct.pack("<I", len(program.ops))]
    for op in program.ops:
        parts.append(struct.pack("<B", KINDS.index(type(op))))
        parts += [_encode(field.type, getattr(op, field.name)) for field in fields(op)]
    body = b"".join(parts)
    return _HEADER.pack(MAGIC, VERSION, len(body), hashlib.sha256(body).digest()) + body


def parse_program(content: bytes) -> Program:
    """The program of a file's content.

    Raises: UserError for anything but an intact program of this version; memory stays within a
    small multiple of the content's size.
    """
    if len(content) < _HEADER.size:
        raise _damaged(f"at least {_HEADER.size} bytes", len(content))
    magic, version, length, digest = _HEADER.unpack_from(content)
    body = memoryview(content)[_HEADER.size :]
    if magic != MAGIC or version != VERSION:
        raise _damaged(f"an integer program of version {VERSION}", (magic, version))
    if length != len(body) or hashlib.sha256(body).digest() != digest:
        raise _damaged(f"{length} intact bytes", f"{len(body)} others")
    return Program(_Reader(body).ops())


def save_program(program: Program, path: Path) -> None:
    """Write a program as one file."""
    path.write_bytes(program_bytes(program))


def load_program(path: Path) -> Program:
    """Read a program from a file.

    Raises: UserError when it cannot be read, is larger than MAX_FILE or no intact program.
    """
    # Asked first: a pipe would be waited for, a device read for ever.
    if path.exists() and not path.is_file():
        raise UserError(f"integer program: expected a file, got something else at {path}")
    try:
        if path.stat().st_size > MAX_FILE:
            raise _damaged(f"at most {MAX_FILE} bytes", path.stat().st_size)
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"integer program: expected a file, got {error}; give its path") from error
    return parse_program(content)


def _encode(kind: Any, value: Any) -> bytes:
    if kind == "int":
        return struct.pack("<q", value)
    array = np.ascontiguousarray(value, _ARRAYS[kind])
    return struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


class _Reader:
    """Takes fields off the front of the body, never beyond its end."""

    def __init__(self, body: memoryview) -> None:
        self.body, self.at = body, 0

    def ops(self) -> tuple[Op, ...]:
        """All operations; nothing may follow them."""
        (count,) = self._unpack("<I")
        if count > MAX_OPS:
            raise _damaged(f"at most {MAX_OPS} operations", count)
        ops = tuple(self._op() for _ in range(count))
        if self.at != len(self.body):
            raise _damaged("nothing after the last operation", f"{len(self.body) - self.at} bytes")
        return ops

    def _op(self) -> Op:
        (kind,) = self._unpack("<B")
        if kind >= len(KINDS):
            raise _damaged(f"an operation in 0..{len(KINDS) - 1}", kind)
        values = {field.name: self._value(field.type) for field in fields(KINDS[kind])}
        return KINDS[kind](**values)

    def _value(self, kind: Any) -> Any:
        if kind == "int":
            return self._unpack("<q")[0]
        (dimensions,) = self._unpack("<B")
        shape = self._unpack(f"<{dimensions}I")
        dtype = _ARRAYS[kind]
        if dimensions > 4 or not 1 <= math.prod(shape) <= MAX_ELEMENTS:
            raise _damaged(f"an array of 1..{MAX_ELEMENTS} elements in 4 dimensions", shape)
        data = self._take(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))

    def _unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, size: int) -> memoryview:
        if size > len(self.body) - self.at:
            raise _damaged(f"{size} more bytes", len(self.body) - self.at)
        self.at += size
        return self.body[self.at - size : self.at]


def _damaged(expected: str, got: object) -> UserError:
    return UserError(f"integer program file: expected {expected}, got {got}; write it again")
