"""LiteRT files of a few operators, written with the schema's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "int16": 7, "int8": 9}


@dataclass(frozen=True)
class T:
    """A tensor: `values` for a constant; `scale` and `zero` (numbers or arrays) for codes."""

    shape: Sequence[int]
    dtype: str = "float32"
    values: Any = None
    scale: Any = None
    zero: Any = 0
    axis: int = 0


@dataclass(frozen=True)
class Op:
    """An operator between tensors by number; `options` are fields of its schema class."""

    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[str, Any] | None = None
    schema: str = ""


def model(tensors: Sequence[T], operators: Sequence[Op], outputs: Sequence[int] = (-1,)) -> Any:
    """The schema's object of a file from tensor 0 to the last one."""
    from ai_edge_litert import schema_py_generated as schema

    made = schema.ModelT()
    made.version = 3
    made.buffers = [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors = []
    for number, tensor in enumerate(tensors):
        one = schema.TensorT()
        one.name, one.shape, one.type = f"t{number}", list(tensor.shape), TYPES[tensor.dtype]
        one.buffer = 0
        if tensor.values is not None:
            buffer = schema.BufferT()
            raw = np.asarray(tensor.values, tensor.dtype).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            made.buffers.append(buffer)
            one.buffer = len(made.buffers) - 1
        if tensor.scale is not None:
            one.quantization = schema.QuantizationParametersT()
            scale = np.atleast_1d(np.asarray(tensor.scale, np.float32))
            one.quantization.scale = scale
            one.quantization.zeroPoint = np.broadcast_to(np.int64(tensor.zero), scale.shape).copy()
            one.quantization.quantizedDimension = tensor.axis
        graph.tensors.append(one)
    made.operatorCodes, graph.operators = [], []
    for operator in operators:
        code, one = schema.OperatorCodeT(), schema.OperatorT()
        number = getattr(schema.BuiltinOperator, operator.kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        made.operatorCodes.append(code)
        one.opcodeIndex = len(made.operatorCodes) - 1
        one.inputs, one.outputs = list(operator.inputs), list(operator.outputs)
        if operator.schema:
            one.builtinOptionsType = getattr(schema.BuiltinOptions, operator.schema)
            one.builtinOptions = getattr(schema, f"{operator.schema}T")()
            for field, value in (operator.options or {}).items():
                setattr(one.builtinOptions, field, value)
        graph.operators.append(one)
    graph.inputs = [0]
    graph.outputs = [place % len(tensors) for place in outputs]
    made.subgraphs = [graph]
    return made


def write(made: Any, path: Path) -> Path:
    """The file of the schema's object."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path
