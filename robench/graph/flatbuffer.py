"""What stands in a LiteRT file: tensors and operators of its one subgraph, within bounds.

The schema comes with the package ai-edge-litert. Its accessors trust the file's offsets: what they
raise on a broken one is caught by `guarded`, and every length is held to a bound before it is used.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robench.base.errors import UserError
from robench.base.files import read_plain
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.table import MAX_BYTES, MAX_ELEMENTS, MAX_OPERATORS

MAX_TENSORS = 4 * MAX_OPERATORS
MAX_CODES = 1_000
"""Different operators of a file, at most."""
MAX_AXES = 8
WHOLE = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
"""The codes a quantised tensor may hold, by type."""


@dataclass(frozen=True, eq=False)
class Codes:
    """How a tensor's codes stand for real numbers: (code - zero_point) * scale.

    `scale` (float32) and `zero_point` (int64) have one number, or one for each place of `axis`.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int

    def same(self, other: Codes | None) -> bool:
        """Whether the same codes stand for the same numbers."""
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
            and (self.scale.size == 1 or self.axis == other.axis)
        )


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor of the file; `values` is what the file fixes, as it is stored."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As numpy names it."""
    codes: Codes | None
    values: npt.NDArray[Any] | None
    free_batch: bool
    """Whether the file leaves the first size open."""


@dataclass(frozen=True, eq=False)
class StoredOperator:
    """An operator: tensors by number, -1 for an input left out; `options` is its schema table."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, eq=False)
class Subgraph:
    """All of a file that a table needs."""

    tensors: tuple[StoredTensor, ...]
    operators: tuple[StoredOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """What the schema's accessors raise on a broken file, as UnreadableFile."""
    try:
        yield
    except UserError:
        raise
    except (struct.error, ValueError, IndexError, KeyError, TypeError, AttributeError,
            OverflowError) as error:  # fmt: skip
        raise UnreadableFile(
            f"{path}: expected a sound LiteRT file, got {type(error).__name__} within it; "
            "convert the network again"
        ) from error


def stored(path: Path) -> Subgraph:
    """The subgraph of a LiteRT file; nothing in it is run.

    Raises UnreadableFile, UnknownOperator, and UserError where ai-edge-litert is missing.
    """
    content = _content(path)
    with guarded(path):
        model = _schema().Model.GetRootAsModel(content, 0)
        if model.Version() != 3 or model.SubgraphsLength() != 1:
            raise UnreadableFile(
                f"{path}: expected a LiteRT file of version 3 with one subgraph, got version "
                f"{model.Version()} with {model.SubgraphsLength()}"
            )
        graph = model.Subgraphs(0)
        kinds = _kinds(model)
        tensors = tuple(
            _tensor(content, model, graph.Tensors(i))
            for i in range(_bounded("tensors", graph.TensorsLength(), MAX_TENSORS))
        )
        count = _bounded("operators", graph.OperatorsLength(), MAX_OPERATORS)
        operators = tuple(_operator(kinds, graph.Operators(i), len(tensors)) for i in range(count))
        ends = (_numbers(graph.InputsAsNumpy()), _numbers(graph.OutputsAsNumpy()))
        _held(ends[0] + ends[1], 0, len(tensors))
    unknown = {operator.kind for operator in operators if operator.kind.startswith("CUSTOM")}
    if unknown:
        raise UnknownOperator(unknown)
    return Subgraph(tensors, operators, *ends)


def _content(path: Path) -> bytes:
    try:
        content = read_plain(path, MAX_BYTES)
    except OSError as error:
        raise UnreadableFile(f"expected a file at {path}, got {error.strerror}") from error
    if content[4:8] != b"TFL3":
        raise UnreadableFile(f"{path}: expected a LiteRT file (TFL3), got {content[4:8]!r}")
    return content


@cache
def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise UserError(
            "a LiteRT file: expected the package ai-edge-litert; pip install ai-edge-litert"
        ) from error
    return schema_py_generated


@cache
def _words(enumeration: str) -> dict[int, str]:
    """Names of a schema's enumeration by number."""
    found = vars(getattr(_schema(), enumeration)).items()
    return {number: name for name, number in found if isinstance(number, int)}


def _bounded(what: str, count: int, most: int) -> int:
    if count > most:
        raise UnreadableFile(f"expected at most {most} {what} in a LiteRT file, got {count}")
    return count


def _held(places: tuple[int, ...], least: int, count: int) -> None:
    if any(not least <= place < count for place in places):
        raise UnreadableFile(f"expected tensors {least}..{count - 1}, got {list(places)[:8]}")


def _numbers(found: Any) -> tuple[int, ...]:
    """A vector of the file, which flatbuffers gives as 0 where it is left out."""
    return () if isinstance(found, int) else tuple(int(one) for one in found)


def _kinds(model: Any) -> list[str]:
    """The operators' names, by the number that they have in this file."""
    words, kinds = _words("BuiltinOperator"), []
    for i in range(_bounded("kinds of operator", model.OperatorCodesLength(), MAX_CODES)):
        code = model.OperatorCodes(i)
        # Older files keep the number in the older, shorter field alone.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = (code.CustomCode() or b"").decode("utf-8", "replace")[:60]
        kind = words.get(number, f"operator {number}")
        kinds.append(f"{kind} {custom}".strip() if kind == "CUSTOM" else kind)
    return kinds


def _operator(kinds: list[str], operator: Any, tensors: int) -> StoredOperator:
    inputs, outputs = _numbers(operator.InputsAsNumpy()), _numbers(operator.OutputsAsNumpy())
    _held(inputs, -1, tensors)
    _held(outputs, 0, tensors)
    index = operator.OpcodeIndex()
    _held((index,), 0, len(kinds))
    return StoredOperator(kinds[index], inputs, outputs, _options(operator))


def _options(operator: Any) -> Any:
    kind, table = operator.BuiltinOptionsType(), operator.BuiltinOptions()
    if not kind or table is None:
        return None
    options = getattr(_schema(), _words("BuiltinOptions")[kind])()
    options.Init(table.Bytes, table.Pos)
    return options


def _tensor(content: bytes, model: Any, tensor: Any) -> StoredTensor:
    shape = _numbers(tensor.ShapeAsNumpy())
    if len(shape) > MAX_AXES or any(size < 0 for size in shape):
        raise UnreadableFile(f"expected a tensor of at most {MAX_AXES} sizes, got {shape[:9]}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers in a tensor, got {shape}")
    name = (tensor.Name() or b"").decode("utf-8", "replace")
    kind = _words("TensorType").get(tensor.Type(), "an unknown type").lower()
    if tensor.Sparsity() is not None or tensor.IsVariable():
        raise UnknownOperator(["sparse or variable tensors"])
    signature = _numbers(tensor.ShapeSignatureAsNumpy())
    return StoredTensor(
        name=name,
        shape=shape,
        dtype=kind,
        codes=_codes(tensor.Quantization(), shape),
        values=_values(_bytes(content, model, tensor.Buffer()), kind, shape),
        free_batch=bool(signature) and signature[0] == -1,
    )


def _codes(found: Any, shape: tuple[int, ...]) -> Codes | None:
    if found is None or not found.ScaleLength():
        return None
    if found.DetailsType():
        raise UnknownOperator(["quantisation in blocks"])
    scale = np.array(found.ScaleAsNumpy(), np.float32)
    zero = np.zeros(scale.size, np.int64)
    if found.ZeroPointLength():
        zero = np.array(found.ZeroPointAsNumpy(), np.int64)
    axis = found.QuantizedDimension()
    along = scale.size == 1 or (0 <= axis < len(shape) and shape[axis] == scale.size)
    if not along or zero.size != scale.size or not np.all((scale > 0) & np.isfinite(scale)):
        raise UnreadableFile(
            f"expected one scale above 0 and one zero point a tensor or a channel, got "
            f"{scale.size} and {zero.size} for the shape {shape}"
        )
    return Codes(scale, zero, axis)


def _bytes(content: bytes, model: Any, place: int) -> bytes:
    """What a buffer holds: in the flatbuffer itself, or behind it at an offset of the file."""
    _held((place,), 0, model.BuffersLength())
    buffer = model.Buffers(place)
    if buffer.DataLength():
        return bytes(buffer.DataAsNumpy().tobytes())
    start, size = buffer.Offset(), buffer.Size()
    if start <= 1:  # 0 and 1 say that there is nothing behind
        return b""
    if start + size > len(content):
        raise UnreadableFile(
            f"expected {size} bytes at {start} of the file, got a file of {len(content)}"
        )
    return content[start : start + size]


def _values(held: bytes, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    """The numbers that the file fixes for a tensor, if it does."""
    if not held:
        return None
    if kind not in ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64",
                    "bool"):  # fmt: skip
        raise UnknownOperator([f"constants of type {kind}"])
    dtype = np.dtype(kind).newbyteorder("<")
    if len(held) != math.prod(shape) * dtype.itemsize:
        raise UnreadableFile(
            f"expected {math.prod(shape)} numbers of {kind}, got {len(held)} bytes"
        )
    return np.frombuffer(held, dtype).reshape(shape)
