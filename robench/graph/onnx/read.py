"""An ONNX file becomes a table: constants are folded, codes followed, every node made a line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from robench.base.errors import UserError, debugging
from robench.base.text import reason
from robench.core.session import Port
from robench.graph.build import BATCHES, chosen, named
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.onnx import quantised  # it registers its operators
from robench.graph.onnx.file import Array, Content, Node, open_onnx
from robench.graph.onnx.fold import FOLDS, fold
from robench.graph.onnx.nodes import NODES
from robench.graph.onnx.state import CODES, Known, Live, State, full_rank
from robench.graph.table import Graph, Unary

__all__ = ["quantised", "read_onnx"]
_DEQUANTIZE = "DequantizeLinear"


def read_onnx(
    path: Path,
    input_name: str | None = None,
    output_name: str | None = None,
    image: tuple[int, ...] | None = None,
) -> Graph:
    """The table of an ONNX file, from one input to one output.

    They are named where there are several; `image` is the shape of one image in the file's layout,
    for sizes the file leaves free. Raises UnreadableFile for a broken or unsafe file,
    UnknownOperator for what the table lacks, UserError for an unknown name.
    """
    content = open_onnx(path)
    entry = _sized(chosen("input", content.inputs, input_name), image)
    out = chosen("output", content.outputs, output_name)
    if entry.dtype == "float64":
        raise UnknownOperator(["an input of float64"])
    state = State(entry, content.opset)
    for name, array in content.constants.items():
        state.tensors[name] = Known.alike(array)
    needed = _needed(content, out.name)
    for port in content.inputs:
        if port.name != entry.name and any(port.name in node.inputs for node in needed):
            raise UnknownOperator([f"a second input {port.name!r}"])
    _name_unknown(needed)
    for node in needed:
        _translate(state, node)
    return _finished(state, out)


def _sized(entry: Port, image: tuple[int, ...] | None) -> Port:
    """The input, with the sizes an image has where the file leaves them free."""
    if image is None:
        return entry
    fits = len(image) + 1 == len(entry.shape) and all(
        size is None or size == other for size, other in zip(entry.shape[1:], image, strict=True)
    )
    if not fits:
        raise UserError(f"expected images of shape {entry.shape[1:]} for the file, got {image}")
    return replace(entry, shape=(entry.shape[0], *image))


def _needed(content: Content, out: str) -> list[Node]:
    """The nodes an output is made of."""
    wanted, kept = {out}, []
    for node in reversed(content.nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    return kept[::-1]


def _name_unknown(nodes: list[Node]) -> None:
    """Name all operators the reader lacks at once, before any of them is met."""
    known = {*NODES, *FOLDS, "Shape"}
    unknown = [node.title for node in nodes if node.title not in known]
    if unknown:
        raise UnknownOperator(unknown)


def _translate(state: State, node: Node) -> None:
    """One node: folded where the file fixes what it reads, else a line of the table."""
    inputs = [state.get(node, place) for place in range(len(node.inputs)) if node.given(place)]
    known = [value for value in inputs if isinstance(value, Known)]
    if node.kind in ("Shape", "Size") and not node.domain:
        state.tensors[node.outputs[0]] = _shape(state, node)
        return
    if len(known) == len(inputs) and not node.domain and node.kind != _DEQUANTIZE:
        outputs = _folded(node, known)
        if outputs is not None:
            state.count(sum(value.values[0].size for value in outputs.values()))
            state.tensors.update(outputs)
            return
    if node.title not in NODES:
        raise UnknownOperator([f"{node.title} of numbers the network computes"])
    try:
        NODES[node.title](state, node)
    except UserError:
        raise
    except Exception as error:  # of every kind, for attributes that are not what they should be
        if debugging():
            raise
        raise UnreadableFile(f"expected a sound {node.title}, got {reason(error)}") from error


def _shape(state: State, node: Node) -> Known:
    """A tensor's shape for each of the builder's batches."""
    shape = state.shape(state.get(node, 0))
    start, stop = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
    rows = [[-size * n if size < 0 else size for size in shape[start:stop]] for n in BATCHES]
    values = tuple(np.asarray(row, np.int64) for row in rows)
    return Known(tuple(np.asarray(v.prod()) for v in values) if node.kind == "Size" else values)


def _folded(node: Node, inputs: list[Known]) -> dict[str, Known] | None:
    """A node's outputs, where all it reads is fixed; None if only the table can compute it."""
    try:
        if all(value.fixed is not None for value in inputs):
            made = fold(node, [value.values[0] for value in inputs])
            columns = [Known.alike(value, _step(node, inputs)) for value in made]
        else:
            rows = [fold(node, [v.values[i] for v in inputs]) for i in range(len(BATCHES))]
            columns = [Known(tuple(values)) for values in zip(*rows, strict=True)]
    except UnknownOperator:
        if node.title in NODES:
            return None
        raise
    return {name: value for name, value in zip(node.outputs, columns, strict=False) if name}


def _step(node: Node, inputs: list[Known]) -> Array | None:
    """The step of codes, kept where one for all of them is only moved."""
    step = inputs[0].step if inputs else None
    moves = node.kind in ("Transpose", "Reshape", "Identity", "Squeeze", "Unsqueeze", "Slice")
    if step is None or not moves:
        return None
    if step.size == 1:
        return step
    if node.kind == "Transpose":
        return np.transpose(full_rank(step, inputs[0].values[0].ndim), node.attributes.get("perm"))
    return None


def _finished(state: State, out: Port) -> Graph:
    """The table, its last line named as the file's output."""
    value = state.tensors.get(out.name)
    if not isinstance(value, Live):
        raise UnreadableFile(f"expected output {out.name!r} to depend on the input")
    if value.codes is not None and value.codes.axis is None and out.dtype in CODES:
        codes = value.codes
        out = replace(out, scale=float(codes.scale), zero_point=int(codes.zero_point))
    if value.name == state.builder.input.name:
        line = Unary(inputs=(value.name,), output=out.name, function="identity")
        value = Live(state.builder.add(line))
    graph = state.builder.finish(replace(out, name=value.name))
    return graph if value.name == out.name else named(graph, out)
