"""How many bits the weights of a file's network need."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from robench.graph.table import (
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Einsum,
    Expand,
    Graph,
    MatMul,
    Operator,
    Quantise,
    Reshape,
    Slice,
    Transpose,
)

_WEIGHTED = (Conv, ConvTranspose, MatMul, Einsum)
_MOVES = (Concat, Expand, Reshape, Slice, Transpose)
_FLOAT = 32


def weight_bits(graph: Graph) -> int | None:
    """Bits of the widest weight: what its codes need, 16 or 32 where it has none.

    A weight is what a convolution or a product of matrices takes and the file fixes; biases and
    scales are none. None for a network without weights.
    """
    makers = {operator.output: operator for operator in graph.operators}
    moving = {graph.input.name}
    found = []
    for operator in graph.operators:
        if isinstance(operator, _WEIGHTED):
            fixed = (name for name in operator.inputs[:2] if name not in moving)
            found += [_bits(name, makers, graph.constants) for name in fixed]
        if moving.intersection(operator.inputs):
            moving.add(operator.output)
    return max(found, default=None)


def _bits(name: str, makers: Mapping[str, Operator], constants: Mapping[str, Constant]) -> int:
    if name in constants:
        return _stored(constants[name])
    maker = makers[name]
    if isinstance(maker, Quantise):
        return code_bits(maker.quantiser.high - maker.quantiser.low)
    if isinstance(maker, _MOVES):
        return max(_bits(one, makers, constants) for one in maker.inputs)
    return _FLOAT


def _stored(constant: Constant) -> int:
    """Bits of one tensor; floats that half precision of either kind holds exactly need 16."""
    values = constant.values
    if constant.bits is not None:
        return constant.bits
    if constant.step is not None:
        # In double precision, where codes of up to 32 bits are whole again.
        with np.errstate(all="ignore"):
            codes = np.rint(values.astype(np.float64) / constant.step)
        if not np.all(np.abs(codes) < 2.0**32):
            return _FLOAT
        return code_bits(int(np.ptp(codes))) if codes.size else 1
    with np.errstate(over="ignore"):
        half = np.array_equal(values.astype(np.float16).astype(np.float32), values)
    brain = not np.any(values.astype(np.float32).view(np.uint32) & 0xFFFF)
    return 16 if half or brain else _FLOAT


def code_bits(span: int) -> int:
    """Bits that tell codes apart of which the largest is `span` above the smallest."""
    return max(1, span.bit_length())
