"""What shape each operator of the table gives, or why its tensors do not fit it.

Written out rather than asked of torch, whose tensors without numbers load its whole compiler.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

import numpy as np

from robench.graph.compute import sizes
from robench.graph.table import (
    AveragePool,
    Binary,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Einsum,
    Elu,
    Expand,
    Gather,
    GroupNorm,
    HardSigmoid,
    LayerNorm,
    LeakyRelu,
    MatMul,
    MaxPool,
    Normalise,
    Pad,
    Plain,
    Reduce,
    Reshape,
    Resize,
    Shape,
    Slice,
    Softmax,
    Transpose,
    Unary,
    Where,
)

WIDEST = 2**31
"""Sizes, steps and paddings are below this."""


def shape_of(operator: Plain, shapes: Sequence[Shape], batch: int) -> Shape:
    """The shape of an operator's output for a batch of so many images.

    Raises: ValueError for shapes that do not fit.
    """
    x = shapes[0]
    match operator:
        case Conv() | ConvTranspose() | MaxPool() | AveragePool() | Resize():
            return _image(operator, shapes)
        case MatMul():
            return _product(shapes)
        case Einsum():
            return _sums(operator.equation, shapes)
        case Unary() | Clip() | LeakyRelu() | Elu() | HardSigmoid():
            return x
        case Softmax() | Normalise():
            _require(operator.axis < len(x), f"an axis {operator.axis} of {x}")
            return x
        case Binary() | Where():
            return np.broadcast_shapes(*shapes)
        case LayerNorm():
            _require(all(s == x[operator.axis :] for s in shapes[1:]), f"scales of {x}")
            return x
        case GroupNorm():
            _require(len(x) > 1 and operator.groups > 0 and x[1] % operator.groups == 0, "groups")
            _require(all(s == x[1:2] for s in shapes[1:]), f"scales of {x}")
            return x
        case Reduce():
            _require(all(axis < len(x) for axis in operator.axes), f"axes {operator.axes} of {x}")
            kept = [1 if i in operator.axes else size for i, size in enumerate(x)]
            gone = () if operator.keep else operator.axes
            return tuple(size for i, size in enumerate(kept) if i not in gone)
        case _:
            return _moved(operator, shapes, batch)


def _moved(
    operator: Reshape | Expand | Transpose | Concat | Slice | Gather | Pad,
    shapes: Sequence[Shape],
    batch: int,
) -> Shape:
    """An operator that changes places alone."""
    x = shapes[0]
    match operator:
        case Reshape():
            shape = sizes(operator.shape, batch)
            _require(math.prod(shape) == math.prod(x), f"{x} as {shape}")
            return shape
        case Expand():
            shape = sizes(operator.shape, batch)
            _require(np.broadcast_shapes(x, shape) == shape, f"{x} as {shape}")
            return shape
        case Transpose():
            _require(sorted(operator.order) == list(range(len(x))), f"{x} by {operator.order}")
            return tuple(x[axis] for axis in operator.order)
        case Concat():
            axis = operator.axis
            rests = {(len(s), s[:axis], s[axis + 1 :]) for s in shapes}
            _require(axis < len(x) and len(rests) == 1, f"{list(shapes)} along {axis}")
            return (*x[:axis], sum(s[axis] for s in shapes), *x[axis + 1 :])
        case Slice():
            _require(operator.axis < len(x) and operator.step > 0, f"axis {operator.axis} of {x}")
            _require(min(operator.start, operator.stop) >= 0, "a start and a stop from the front")
            cut = range(x[operator.axis])[operator.start : operator.stop : operator.step]
            return (*x[: operator.axis], len(cut), *x[operator.axis + 1 :])
        case Gather():
            _require(operator.axis < len(x), f"axis {operator.axis} of {x}")
            return (*x[: operator.axis], *shapes[1], *x[operator.axis + 1 :])
        case Pad():
            _require(len(x) == len(operator.before) == len(operator.after), f"paddings of {x}")
            pairs = zip(operator.before, x, operator.after, strict=True)
            mirrored = operator.mode == "reflect"
            for before, size, after in zip(operator.before, x, operator.after, strict=True):
                longest = size - 1 if mirrored else WIDEST
                _require(max(before, after) <= longest, f"paddings within {x}")
            return _sized([before + size + after for before, size, after in pairs])
        case _:
            assert_never(operator)


def _image(
    operator: Conv | ConvTranspose | MaxPool | AveragePool | Resize, shapes: Sequence[Shape]
) -> Shape:
    """An operator that looks at neighbours."""
    x = shapes[0]
    _require(len(x) == 4, f"(N, C, H, W), got {x}")
    match operator:
        case Resize():
            return (*x[:2], *_sized(operator.size))
        case Conv():
            weight = shapes[1]
            _require(len(weight) == 4 and operator.groups > 0, f"weights {weight}")
            fits = x[1] == weight[1] * operator.groups and weight[0] % operator.groups == 0
            _require(fits, f"weights {weight} of {operator.groups} groups for {x}")
            _require(all(s == weight[:1] for s in shapes[2:]), f"a bias of {weight[0]}")
            return (x[0], weight[0], *_windows(operator, x, weight[2:], operator.dilation))
        case ConvTranspose():
            return _spread(operator, shapes)
        case MaxPool():
            return (*x[:2], *_windows(operator, x, operator.kernel, operator.dilation))
        case AveragePool():
            return (*x[:2], *_windows(operator, x, operator.kernel, (1, 1)))
        case _:
            assert_never(operator)


def _windows(
    operator: Conv | MaxPool | AveragePool, x: Shape, kernel: Shape, dilation: Shape
) -> Shape:
    """How many windows there are, up and down and from left to right."""
    numbers = (*operator.stride, *kernel, *dilation)
    _require(min(numbers) > 0 and max(numbers) < WIDEST, f"windows {numbers}")
    _require(min(operator.padding) >= 0 and max(operator.padding) < WIDEST, "paddings")
    top, left, bottom, right = operator.padding
    padded = (x[2] + top + bottom, x[3] + left + right)
    rows = zip(padded, kernel, dilation, operator.stride, strict=True)
    return _sized([(size - (k - 1) * d - 1) // step + 1 for size, k, d, step in rows])


def _spread(operator: ConvTranspose, shapes: Sequence[Shape]) -> Shape:
    """A transposed convolution."""
    x, weight = shapes[:2]
    _require(len(weight) == 4 and operator.groups > 0, f"weights {weight}")
    _require(x[1] == weight[0] and x[1] % operator.groups == 0, f"weights {weight} for {x}")
    out = weight[1] * operator.groups
    _require(all(s == (out,) for s in shapes[2:]), f"a bias of {out}")
    numbers = (*operator.stride, *operator.dilation, *weight[2:])
    _require(min(numbers) > 0 and max(numbers) < WIDEST, f"windows {numbers}")
    _require(min(*operator.padding, *operator.extra) >= 0, "paddings")
    top, left, bottom, right = operator.padding
    gone = (top + bottom, left + right)
    rows = zip(x[2:], weight[2:], operator.dilation, operator.stride, operator.extra, gone,
               strict=True)  # fmt: skip
    return (
        x[0],
        out,
        *_sized([(n - 1) * s + (k - 1) * d + 1 + e - g for n, k, d, s, e, g in rows]),
    )


def _product(shapes: Sequence[Shape]) -> Shape:
    """Matrices times matrices, and a bias that fits the product."""
    a, b, *bias = shapes
    _require(min(len(a), len(b)) >= 2 and a[-1] == b[-2], f"{a} times {b}")
    out = (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
    _require(all(np.broadcast_shapes(out, s) == out for s in bias), f"a bias that fits {out}")
    return out


def _sums(equation: str, shapes: Sequence[Shape]) -> Shape:
    """Einstein's rule."""
    left, _, right = equation.partition("->")
    terms = left.split(",")
    _require(len(terms) == len(shapes), f"{len(terms)} tensors for {equation}")
    found: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        _require(len(term) == len(shape), f"{term} for {shape}")
        for letter, size in zip(term, shape, strict=True):
            _require(found.setdefault(letter, size) == size, f"one size of {letter}")
    _require(set(right) <= set(found) and len(set(right)) == len(right), f"letters of {equation}")
    return tuple(found[letter] for letter in right)


def _sized(shape: Sequence[int]) -> Shape:
    """Sizes that are there."""
    _require(min(shape) > 0 and max(shape) < WIDEST, f"sizes above 0, got {tuple(shape)}")
    return tuple(shape)


def _require(fits: bool, words: str) -> None:
    if not fits:
        raise ValueError(words)
