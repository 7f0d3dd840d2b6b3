"""An ONNX file as one piece: the weights that it keeps in other files are read into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from robench.graph.onnx.file import Opener, parsed


def whole_onnx(path: Path) -> bytes:
    """The bytes of an ONNX file, with whatever it keeps in other files of its folder.

    A digest of them names the network, and no runtime opens what a file points at. Raises
    UnreadableFile for a broken, unsafe or huge file; UserError where the package onnx is missing.
    """
    content, model = parsed(path)
    opener = Opener.beside(path, content)
    outside = [tensor for tensor in _tensors(model) if opener.outside(tensor)]
    for tensor in outside:
        opener.bring(tensor)
    return model.SerializeToString(deterministic=True) if outside else content


def _tensors(model: Any) -> Iterator[Any]:
    """Every constant of a model, and of the graphs in it."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[Any]:
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
