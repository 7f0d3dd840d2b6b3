"""An ONNX file taken apart within bounds: nothing in it runs, no path leaves its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robench.base.errors import UserError
from robench.base.text import reason
from robench.core.session import Port
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.table import MAX_BYTES, MAX_ELEMENTS, MAX_OPERATORS

OPSETS = range(13, 24)
MAX_NAME = 200
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Node:
    """One node: tensor names ("" where an input is left out), attributes as Python values."""

    kind: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The operator's name, with its domain unless it is ONNX's own."""
        return f"{self.domain}.{self.kind}" if self.domain else self.kind

    def given(self, place: int) -> bool:
        """Whether an input is there."""
        return place < len(self.inputs) and self.inputs[place] != ""


@dataclass(frozen=True)
class Content:
    """What a file holds: ports, the numbers it fixes, nodes in an order they can run in."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    constants: Mapping[str, Array]
    nodes: tuple[Node, ...]
    opset: int


def open_onnx(path: Path) -> Content:
    """Read a file and take it apart.

    Raises: UnreadableFile for a broken, unsafe or huge file; UnknownOperator for other opsets;
    UserError where the package onnx is missing.
    """
    content, model = parsed(path)
    if not model.graph.node or not model.graph.output:
        raise UnreadableFile(f"expected an ONNX file with nodes, got {_named(path)}")
    try:
        return Opener.beside(path, content).content(model)
    except (UnicodeDecodeError, OverflowError) as error:
        raise UnreadableFile(
            f"expected an ONNX file, got {_named(path)}: {reason(error)}"
        ) from error


def parsed(path: Path) -> tuple[bytes, Any]:
    """A file's bytes, and the model that they spell; raises as `open_onnx`."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise UserError("read an ONNX file: expected the package onnx; pip install onnx") from error
    content = _bytes(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise UnreadableFile(
            f"expected an ONNX file, got {_named(path)}: {reason(error)}"
        ) from error
    return content, model


def _bytes(path: Path) -> bytes:
    """A file's bytes, no more of them than the bound."""
    # Asked first: a pipe would be waited for, a device read for ever.
    if not path.is_file():
        raise UnreadableFile(f"expected a file, got {path}; give its path")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(f"expected a file, got {reason(error)}; give its path") from error
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"expected at most {MAX_BYTES} bytes, got more in {_named(path)}")
    return content


def _named(path: Path) -> str:
    return repr(path.name[:MAX_NAME])


class Opener:
    """Makes Python values of a parsed model; `left` bytes of external data may still be read."""

    def __init__(self, folder: Path, left: int) -> None:
        self.folder = folder
        self.left = left

    @classmethod
    def beside(cls, path: Path, content: bytes) -> Opener:
        """For the file at `path`, of which these bytes were read."""
        return cls(path.parent, MAX_BYTES - len(content))

    def content(self, model: Any) -> Content:
        """The model as plain values."""
        graph = model.graph
        opset = _opset(model)
        if len(graph.node) > MAX_OPERATORS:
            raise UnreadableFile(
                f"expected at most {MAX_OPERATORS} operators, got {len(graph.node)}"
            )
        if graph.sparse_initializer:
            raise UnknownOperator(["sparse constants"])
        functions = {(function.domain, function.name) for function in model.functions}
        if functions:
            raise UnknownOperator([f"function {d}.{n}" for d, n in functions])
        constants = {_text(tensor.name): self.array(tensor) for tensor in graph.initializer}
        nodes = _sorted([self._node(node) for node in graph.node])
        entries = [value for value in graph.input if value.name not in constants]
        return Content(_ports(entries), _ports(graph.output), constants, nodes, opset)

    def _node(self, node: Any) -> Node:
        domain = "" if node.domain == "ai.onnx" else _text(node.domain)
        attributes = {attribute.name: self._attribute(attribute) for attribute in node.attribute}
        inputs, outputs = (tuple(map(_text, names)) for names in (node.input, node.output))
        return Node(_text(node.op_type), domain, inputs, outputs, attributes)

    def _attribute(self, attribute: Any) -> Any:
        """An attribute's value; graphs inside, as control flow has them, stay None."""
        import onnx

        kinds = onnx.AttributeProto
        match attribute.type:
            case kinds.FLOAT:
                return attribute.f
            case kinds.INT:
                return attribute.i
            case kinds.STRING:
                return attribute.s.decode("utf-8", "replace")
            case kinds.FLOATS:
                return tuple(attribute.floats)
            case kinds.INTS:
                return tuple(attribute.ints)
            case kinds.TENSOR:
                return self.array(attribute.t)
            case _:
                return None

    def array(self, tensor: Any) -> Array:
        """The numbers of a tensor, from the file or from beside it."""
        import onnx
        from onnx import numpy_helper

        shape = tuple(tensor.dims)
        if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
            raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers, got shape {shape}")
        if tensor.data_type == onnx.TensorProto.STRING:
            raise UnknownOperator(["constants of text"])
        whole = onnx.TensorProto()
        whole.CopyFrom(tensor)
        if self.outside(whole):
            self.bring(whole)
        try:
            return np.asarray(numpy_helper.to_array(whole))
        except Exception as error:  # of every kind, for numbers that do not fit their shape
            name = tensor.name[:MAX_NAME]
            raise UnreadableFile(
                f"expected the numbers of {name!r}, shape {shape}: {reason(error)}"
            ) from error

    def outside(self, tensor: Any) -> bool:
        """Whether the numbers of a tensor are kept in another file."""
        return bool(tensor.data_location == tensor.EXTERNAL)

    def bring(self, tensor: Any) -> None:
        """Put the numbers that a tensor keeps in another file into it."""
        tensor.raw_data = self._beside(tensor)
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]

    def _beside(self, tensor: Any) -> bytes:
        """The bytes of a tensor kept in another file, which must lie in the file's own folder."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        place = entries.get("location", "")
        folder = self.folder.resolve()
        if not place or "\0" in place or Path(place).is_absolute() or ".." in Path(place).parts:
            raise UnreadableFile(
                f"expected external data beside the file, got {place[:MAX_NAME]!r}"
            )
        path: Path = (folder / place).resolve()  # symbolic links followed: they may lead out, too
        if not path.is_relative_to(folder) or not path.is_file():
            raise UnreadableFile(
                f"expected external data beside the file, got {place[:MAX_NAME]!r}"
            )
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", path.stat().st_size - offset))
        except ValueError as error:
            raise UnreadableFile(f"expected places in {place[:MAX_NAME]!r}, {error}") from error
        if min(offset, length) < 0 or offset + length > path.stat().st_size or length > self.left:
            raise UnreadableFile(f"expected {length} bytes at {offset} in {place[:MAX_NAME]!r}")
        self.left -= length
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def _text(name: Any) -> str:
    """A name of a file, which protobuf gives as bytes where it is none."""
    if not isinstance(name, str):
        raise UnreadableFile(f"expected names of text, got {name[:MAX_NAME]!r}")
    return name


def _opset(model: Any) -> int:
    """The version of ONNX's own operators."""
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise UnreadableFile(f"expected one opset of ONNX, got {versions}")
    if versions[0] not in OPSETS:
        raise UnknownOperator([f"opset {versions[0]} (known: {OPSETS[0]} to {OPSETS[-1]})"])
    return int(versions[0])


def _sorted(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes, each behind those it reads. Raises UnreadableFile for a circle."""
    made = {name: place for place, node in enumerate(nodes) for name in node.outputs if name}
    waiting = [0] * len(nodes)
    readers: list[list[int]] = [[] for _ in nodes]
    for place, node in enumerate(nodes):
        for source in {made[name] for name in node.inputs if name in made}:
            readers[source].append(place)
            waiting[place] += 1
    ready = [place for place, count in enumerate(waiting) if not count]
    order: list[int] = []
    while len(order) < len(ready):
        place = ready[len(order)]
        order.append(place)
        for reader in readers[place]:
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    if len(order) < len(nodes):
        stuck = next(node for place, node in enumerate(nodes) if waiting[place])
        raise UnreadableFile(f"expected nodes without a circle, got one at {stuck.title}")
    return tuple(nodes[place] for place in order)


def _ports(values: Any) -> tuple[Port, ...]:
    """Tensors that enter or leave."""
    return tuple(
        Port(
            _text(value.name),
            tuple(
                size.dim_value if size.HasField("dim_value") else None
                for size in value.type.tensor_type.shape.dim
            ),
            _dtype(value.type.tensor_type.elem_type),
        )
        for value in values
    )


def _dtype(kind: int) -> str:
    """Numpy's word for ONNX's number of a type."""
    from onnx import helper

    try:
        return str(helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError) as error:
        raise UnreadableFile(f"expected a tensor's type, got number {kind}") from error
