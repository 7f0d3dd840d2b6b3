"""ONNX files, before a runtime opens them: whole ones, whose bytes are all there is to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import robench


def whole(path: Path) -> bytes:
    """The bytes of an ONNX file; UserError for a broken one, or one with weights in other files.

    A digest of the bytes names the network then, and no runtime opens what a file points at.
    """
    import onnx

    content = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf has errors of its own for each kind of damage
        raise robench.UserError(
            f"expected an ONNX file at {path}, got none that can be parsed; export it again"
        ) from error
    nodes = [node for function in model.functions for node in function.node]
    outside = onnx.TensorProto.EXTERNAL
    if any(one.data_location == outside for one in (*_of_graph(model.graph), *_of_nodes(nodes))):
        raise robench.UserError(
            f"expected an ONNX file that holds its weights, got {path.name} with weights in "
            f"another; make one of them: onnx.save(onnx.load({path.name!r}), 'whole.onnx')"
        )
    return content


def _of_graph(graph: Any) -> Iterator[Any]:
    """Every constant of a graph and of the graphs in it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for given in node.attribute:
            yield from (given.t, *given.tensors)
            for sparse in (given.sparse_tensor, *given.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (given.g, *given.graphs):
                yield from _of_graph(graph)
