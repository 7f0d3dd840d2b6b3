"""A foreign file's network: one table of operators and quantisers, and twins made of it.

`read` makes the table of a file, without running anything in it; `GraphTwin` computes it in torch
with gradients. A reader of another format builds its table with `Builder`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from robench.base.files import read_plain, require_plain
from robench.core.session import Port
from robench.graph.build import Builder
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.pt2 import Program, read_program
from robench.graph.table import MAX_BYTES, Constant, Graph, Operator, Quantiser
from robench.graph.twin import Form, GraphTwin, output_quantisers
from robench.graph.weights import weight_bits

__all__ = [
    "Builder",
    "Constant",
    "Form",
    "Graph",
    "GraphTwin",
    "Kind",
    "Operator",
    "Port",
    "Program",
    "Quantiser",
    "UnknownOperator",
    "UnreadableFile",
    "output_quantisers",
    "read",
    "read_program",
    "weight_bits",
    "whole",
]

Kind = Literal["onnx", "litert", "torch"]


def read(
    path: Path,
    kind: Kind,
    *,
    input_name: str | None = None,
    output_name: str | None = None,
    image: tuple[int, ...] | None = None,
) -> Graph:
    """The table of a file, from one input to one output, which are named where there are several.

    `image` is the shape of one image in the file's own layout, for sizes that an ONNX file leaves
    free.
    Raises UnreadableFile for a broken or unsafe file, UnknownOperator for one that has operators
    the table lacks, and UserError where the package that parses the format is missing.
    """
    # Imported when needed: each parses with a package of its own.
    match kind:
        case "onnx":
            from robench.graph.onnx import read_onnx

            return read_onnx(path, input_name, output_name, image)
        case "litert":
            from robench.graph.litert import read_litert

            return read_litert(path, input_name, output_name)
        case "torch":
            from robench.graph.aten import read_aten

            return read_aten(path, input_name, output_name)


def whole(path: Path) -> bytes:
    """All that there is to a file: its bytes, for ONNX with the weights that it keeps beside it.

    Raises UserError for what is no plain file and for a broken or unsafe ONNX file, and OSError.
    """
    require_plain(path)
    if path.suffix.lower() == ".onnx":
        from robench.graph.onnx.whole import whole_onnx

        return whole_onnx(path)
    return read_plain(path, MAX_BYTES)
