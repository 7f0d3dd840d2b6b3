"""A foreign file's network as one table: typed operators on real tensors, and quantisers.

Every tensor is named and holds real numbers: where a file stores integer codes, the table has what
they stand for, `(code - zero point) * scale`, and a `Quantise` wherever the file rounds. The first
axis of every tensor that depends on the input holds the batch, or a multiple of it.

One layout: what looks at neighbours in an image (`Conv`, `MaxPool`, `AveragePool`, `Resize`) takes
and gives (N, C, H, W) and weights (out, in / groups, height, width). All else works on axes as they
are named. A reader of a file in NHWC puts a `Transpose` before and after each such operator (torch
only changes its view, so it costs nothing) and transposes constants itself. Axes are counted from
the front, never negative.

An operator is added in three places: here, in `compute.py` (or mypy fails), and in a reader.
Attributes hold what the file fixes; sums over shapes are done by the reader (`Builder.shape`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from robench.core.session import Port

Real = npt.NDArray[np.float32]
UnaryFunction = Literal[
        "abs", "bfloat16", "ceil", "cos", "erf", "exp", "float16", "floor", "gelu", "gelu_tanh",
        "hard_sigmoid", "hard_swish", "identity", "log", "mish", "negate", "reciprocal", "relu",
        "round", "rsqrt", "sigmoid", "sign", "silu", "sin", "softplus", "softsign", "sqrt", "tanh",
    ]  # fmt: skip
BinaryFunction = Literal["add", "subtract", "multiply", "divide", "power", "minimum", "maximum",
                      "prelu"]  # fmt: skip
ReduceFunction = Literal["mean", "sum", "max", "min", "norm"]
Shape = tuple[int, ...]
"""Sizes of axes; a size of -k is k times the batch, so that -1 is the batch itself."""

MAX_BYTES = 2**31
"""Bytes of a file, external data included, beyond which it is not read."""
MAX_OPERATORS = 20_000
"""Operators of a file, at most."""
MAX_ELEMENTS = 2**28
"""Numbers in one constant, at most."""
MAX_IMAGE = 2**26
"""Numbers in one tensor for one image, at most."""


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Rounding onto a grid: clamp(round(x / scale) + zero_point, low, high), made real again.

    `scale` float32 and `zero_point` int64 have shape () for one grid, or (size of `axis`,) for one
    each along that axis. Half is rounded to even. `low` and `high` are the codes' bounds, such as
    -128 and 127. `reciprocal`: the runtime multiplies by float32(1 / scale) instead of dividing.
    """

    scale: Real
    zero_point: npt.NDArray[np.int64]
    axis: int | None
    low: int
    high: int
    reciprocal: bool = False


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor the file fixes, as real numbers (float32), or as int64 for indices.

    `step` (broadcastable against `values`, float32) is given where the file stores codes: values /
    step are whole numbers, those of `code - zero point`. Sums over it can then be exact.
    """

    values: npt.NDArray[Any]
    step: Real | None = None
    bits: int | None = None
    """Of a stored code, where `step` does not tell: the file's own definition computes in reals."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One line of the table: the names of the tensors it reads, in order, and the one it makes."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True)
class Conv(Operator):
    """2-D convolution of x (N, C, H, W) with a constant weight; inputs x, weight, maybe bias.

    `padding` with zeros is (top, left, bottom, right). `exact`: the file's own definition sums
    integers (QLinearConv, LiteRT), so no rounding may happen before the quantiser behind it.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class ConvTranspose(Operator):
    """2-D transposed convolution; inputs x, weight (in, out / groups, height, width), maybe bias.

    `padding` (top, left, bottom, right) is cropped off the result; `extra` rows and columns are
    added below and to the right before that.
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    extra: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class MatMul(Operator):
    """a @ b as numpy has it, plus a bias along the last axis; inputs a, b, maybe bias.

    A fully connected layer is this with b (in, out). `exact` as in `Conv`.
    """

    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class Einsum(Operator):
    """Sums of products by Einstein's rule; a letter is an axis, as numpy has it."""

    equation: str


@dataclass(frozen=True, kw_only=True)
class MaxPool(Operator):
    """Largest of each window of (N, C, H, W); padding (top, left, bottom, right) never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, kw_only=True)
class AveragePool(Operator):
    """Mean of each window of (N, C, H, W); `count_padding`: zeros around the image count, too."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    count_padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Resize(Operator):
    """(N, C, H, W) to another height and width; pixel centres at half, as torch's interpolate."""

    size: tuple[int, int]
    mode: Literal["nearest", "linear"]


@dataclass(frozen=True, kw_only=True)
class Unary(Operator):
    """One function of every number; `float16` and `bfloat16` round to that type's numbers."""

    function: UnaryFunction


@dataclass(frozen=True, kw_only=True)
class Binary(Operator):
    """One function of two numbers, sizes of 1 repeated as numpy does; `prelu` is a, slope."""

    function: BinaryFunction


@dataclass(frozen=True, kw_only=True)
class Clip(Operator):
    """min(max(x, low), high): part of the network, unlike a quantiser's bounds."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Operator):
    """x where it is positive, slope * x elsewhere."""

    slope: float


@dataclass(frozen=True, kw_only=True)
class Elu(Operator):
    """x where it is positive, alpha * (exp(x) - 1) elsewhere."""

    alpha: float


@dataclass(frozen=True, kw_only=True)
class HardSigmoid(Operator):
    """min(max(slope * x + offset, 0), 1), for other slopes than 1/6 and 1/2."""

    slope: float
    offset: float


@dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """exp(x) over its sum along an axis; `log`: the logarithm of that."""

    axis: int
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Operator):
    """Mean 0 and variance 1 over the axes from `axis` on; inputs x, then maybe scale, maybe bias.

    Scale and bias have the sizes of those axes.
    """

    axis: int
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class GroupNorm(Operator):
    """Mean 0 and variance 1 over each group of channels of (N, C, ...); inputs x, scale, bias.

    Scale and bias have shape (C,).
    """

    groups: int
    epsilon: float


@dataclass(frozen=True, kw_only=True)
class Normalise(Operator):
    """x over its Euclidean (order 2) or absolute (order 1) norm along an axis."""

    axis: int
    order: Literal[1, 2]


@dataclass(frozen=True, kw_only=True)
class Reduce(Operator):
    """One number for all along some axes; `keep`: the axes stay, of size 1."""

    function: ReduceFunction
    axes: tuple[int, ...]
    keep: bool


@dataclass(frozen=True, kw_only=True)
class Reshape(Operator):
    """The same numbers in another shape (flattening, squeezing and the like are this, too)."""

    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Expand(Operator):
    """Sizes of 1 repeated to `shape`."""

    shape: Shape


@dataclass(frozen=True, kw_only=True)
class Transpose(Operator):
    """Axes in another order, as numpy has it."""

    order: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Concat(Operator):
    """Tensors one after another along an axis."""

    axis: int


@dataclass(frozen=True, kw_only=True)
class Slice(Operator):
    """Every step-th place from start to stop of an axis, step > 0; splitting is several of them."""

    axis: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, kw_only=True)
class Gather(Operator):
    """Places of an axis, picked by the file; the index's shape takes the axis's place.

    Inputs x and a constant of int64, none of them negative.
    """

    axis: int


@dataclass(frozen=True, kw_only=True)
class Pad(Operator):
    """Places added before and after each axis: `value`, the nearest, or the mirrored ones."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0
    mode: Literal["constant", "edge", "reflect"] = "constant"


@dataclass(frozen=True, kw_only=True)
class Where(Operator):
    """a where a constant mask is not zero, b elsewhere; inputs mask, a, b."""


@dataclass(frozen=True, kw_only=True)
class Quantise(Operator):
    """Real numbers onto a quantiser's grid; they stay real."""

    quantiser: Quantiser


Plain = (
    AveragePool | Binary | Clip | Concat | Conv | ConvTranspose | Einsum | Elu | Expand | Gather
    | GroupNorm | HardSigmoid | LayerNorm | LeakyRelu | MatMul | MaxPool | Normalise | Pad | Reduce
    | Reshape | Resize | Slice | Softmax | Transpose | Unary | Where
)  # fmt: skip
"""Every operator but `Quantise`, whose gradient the twin's form decides."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A file's network from one input to one output.

    `input.shape` is the file's own, and so is its layout; numbers enter as the file's own real
    numbers, float32 (a port of codes begins with a `Quantise`, or has codes for real numbers).
    Operators stand in an order in which each reads only the input, constants and earlier outputs.
    """

    input: Port
    output: Port
    constants: Mapping[str, Constant]
    operators: tuple[Operator, ...]
