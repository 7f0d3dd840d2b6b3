"""Nodes whose inputs the file fixes, computed in numpy: sums over shapes, and prepared constants.

Every size is checked before anything is made, so that a file of a few bytes cannot ask for memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.onnx.file import Array, Node
from robench.graph.table import MAX_ELEMENTS

Fold = Callable[[Node, Sequence[Array]], Sequence[Array]]


def fold(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    """A node's outputs for inputs the file fixes.

    Raises: UnknownOperator for a node that is not computed here; UnreadableFile for inputs that
    do not fit it.
    """
    if node.domain or node.kind not in FOLDS:
        raise UnknownOperator([node.title])
    try:
        with np.errstate(all="ignore"):
            outputs = [np.asarray(value) for value in FOLDS[node.kind](node, inputs)]
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, ArithmeticError) as error:
        raise UnreadableFile(f"expected inputs that fit {node.kind}: {error}") from error
    for value in outputs:
        bounded(value.shape)
    return outputs


def bounded(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that may be made."""
    sizes = tuple(int(size) for size in shape)
    if len(sizes) > 16 or min(sizes, default=0) < 0 or math.prod(sizes) > MAX_ELEMENTS:
        raise UnreadableFile(f"expected at most {MAX_ELEMENTS} numbers, got shape {sizes}")
    return sizes


def axes_of(node: Node, inputs: Sequence[Array], place: int = 1) -> tuple[int, ...] | None:
    """Axes, an attribute in older opsets and an input in newer ones."""
    if len(inputs) > place:
        return tuple(int(axis) for axis in np.atleast_1d(inputs[place]))
    axes = node.attributes.get("axes")
    return None if axes is None else tuple(int(axis) for axis in axes)


def from_front(axis: int, axes: int) -> int:
    """An axis counted from the front."""
    if not -axes <= axis < axes:
        raise UnreadableFile(f"expected an axis of {axes}, got {axis}")
    return axis % axes


def _both(function: Callable[[Array, Array], Array]) -> Fold:
    def folded(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
        bounded(np.broadcast_shapes(*(value.shape for value in inputs)))
        out = inputs[0]
        for other in inputs[1:]:
            out = function(out, other)
        return [out]

    return folded


def _one(function: Callable[[Array], Array]) -> Fold:
    return lambda node, inputs: [function(inputs[0])]


def _divided(a: Array, b: Array) -> Array:
    """Whole numbers are cut towards zero."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if np.any(b == 0):
        raise ValueError("a division by zero")
    quotient = np.abs(a) // np.abs(b)
    return np.asarray(quotient * np.sign(a) * np.sign(b), a.dtype)


def _remainder(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    a, b = inputs
    if b.dtype.kind != "f" and np.any(b == 0):
        raise ValueError("a division by zero")
    bounded(np.broadcast_shapes(a.shape, b.shape))
    return [np.fmod(a, b) if node.attributes.get("fmod") else np.mod(a, b)]


def _cast(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    from onnx import helper

    kind = helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    return [inputs[0].astype(kind)]


def _constant(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    for name, kind in (("value_float", np.float32), ("value_int", np.int64),
                       ("value_floats", np.float32), ("value_ints", np.int64)):  # fmt: skip
        if name in node.attributes:
            return [np.asarray(node.attributes[name], kind)]
    if not isinstance(node.attributes.get("value"), np.ndarray):
        raise UnknownOperator(["Constant of text or sparse numbers"])
    return [node.attributes["value"]]


def _filled(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    value = node.attributes.get("value", np.zeros(1, np.float32))
    return [np.full(list(bounded(inputs[0].tolist())), value.item(), value.dtype)]


def _range(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    start, stop, step = (value.item() for value in inputs)
    bounded([max(0, math.ceil((stop - start) / step))])
    return [np.arange(start, stop, step).astype(inputs[0].dtype)]


def _expand(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    target = np.broadcast_shapes(inputs[0].shape, bounded(inputs[1].tolist()))
    return [np.broadcast_to(inputs[0], bounded(target))]


def _tile(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    repeats = [int(size) for size in inputs[1]]
    bounded([size * count for size, count in zip(inputs[0].shape, repeats, strict=True)])
    return [np.tile(inputs[0], repeats)]


def _reshape(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    x = inputs[0]
    copied = not node.attributes.get("allowzero", 0)
    shape = [x.shape[i] if size == 0 and copied else int(size) for i, size in enumerate(inputs[1])]
    return [x.reshape(shape)]


def _flatten(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    axis = node.attributes.get("axis", 1)
    return [inputs[0].reshape(math.prod(inputs[0].shape[:axis]), -1)]


def _transpose(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    return [np.transpose(inputs[0], node.attributes.get("perm"))]


def _squeeze(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    return [np.squeeze(inputs[0], axes_of(node, inputs))]


def _unsqueeze(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    return [np.expand_dims(inputs[0], axes_of(node, inputs) or ())]


def _gather(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    x, index = inputs
    axis = from_front(node.attributes.get("axis", 0), x.ndim)
    bounded((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
    return [np.take(x, index, axis)]


def _slice(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    x = inputs[0]
    places = [slice(None)] * x.ndim
    for axis, start, stop, step in slices(inputs[1:], x.ndim):
        # numpy and ONNX agree but where a backward stop lies before the front.
        last = None if step < 0 and stop < -x.shape[axis] else stop
        places[axis] = slice(start, last, step)
    return [x[tuple(places)]]


def slices(inputs: Sequence[Array], axes: int) -> list[tuple[int, int, int, int]]:
    """Axis, start, stop and step of each cut of a Slice node."""
    starts, stops = (np.atleast_1d(value).tolist() for value in inputs[:2])
    along = inputs[2].tolist() if len(inputs) > 2 and inputs[2].size else range(len(starts))
    steps = inputs[3].tolist() if len(inputs) > 3 and inputs[3].size else [1] * len(starts)
    rows = zip(along, starts, stops, steps, strict=True)
    return [(from_front(int(a), axes), int(b), int(e), int(s)) for a, b, e, s in rows]


def parts_of(node: Node, size: int, given: Array | None) -> list[int]:
    """Sizes of the parts a Split node makes of an axis."""
    if given is not None:
        return [int(part) for part in given]
    if "split" in node.attributes:
        return [int(part) for part in node.attributes["split"]]
    count = len(node.outputs)
    part = -(-size // count)
    return [part] * (count - 1) + [size - part * (count - 1)]


def _split(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    axis = from_front(node.attributes.get("axis", 0), inputs[0].ndim)
    given = inputs[1] if len(inputs) > 1 else None
    parts = parts_of(node, inputs[0].shape[axis], given)
    return np.split(inputs[0], np.cumsum(parts)[:-1], axis)


def _concat(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    return [np.concatenate(list(inputs), node.attributes["axis"])]


def _reduced(function: Callable[..., Any]) -> Fold:
    def folded(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
        axes = axes_of(node, inputs)
        if not axes and node.attributes.get("noop_with_empty_axes"):
            return [inputs[0]]
        keep = bool(node.attributes.get("keepdims", 1))
        return [function(inputs[0], axis=axes or None, keepdims=keep)]

    return folded


def _where(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    bounded(np.broadcast_shapes(*(value.shape for value in inputs)))
    return [np.where(inputs[0], inputs[1], inputs[2])]


def _scatter(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    if node.attributes.get("reduction", "none") != "none":
        raise UnknownOperator(["ScatterND that adds up"])
    out = inputs[0].copy()
    out[tuple(np.moveaxis(inputs[1], -1, 0))] = inputs[2]
    return [out]


def _clip(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    low = inputs[1] if len(inputs) > 1 else None
    high = inputs[2] if len(inputs) > 2 else None
    return [np.clip(inputs[0], low, high)]


def _triangle(node: Node, inputs: Sequence[Array]) -> Sequence[Array]:
    offset = int(inputs[1]) if len(inputs) > 1 else 0
    function = np.triu if node.attributes.get("upper", 1) else np.tril
    return [function(inputs[0], offset)]


FOLDS: dict[str, Fold] = {
    "Abs": _one(np.abs),
    "Add": _both(np.add),
    "And": _both(np.logical_and),
    "Cast": _cast,
    "Ceil": _one(np.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _filled,
    "Div": _both(_divided),
    "Equal": _both(np.equal),
    "Exp": _one(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _one(np.floor),
    "Gather": _gather,
    "Greater": _both(np.greater),
    "GreaterOrEqual": _both(np.greater_equal),
    "Identity": _one(np.asarray),
    "Less": _both(np.less),
    "LessOrEqual": _both(np.less_equal),
    "Log": _one(np.log),
    "Max": _both(np.maximum),
    "Min": _both(np.minimum),
    "Mod": _remainder,
    "Mul": _both(np.multiply),
    "Neg": _one(np.negative),
    "Not": _one(np.logical_not),
    "Or": _both(np.logical_or),
    "Pow": _both(lambda a, b: np.power(a, b.astype(a.dtype))),
    "Range": _range,
    "Reciprocal": _one(np.reciprocal),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "ScatterND": _scatter,
    "Sign": _one(np.sign),
    "Size": _one(lambda x: np.asarray(x.size, np.int64)),
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _one(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _both(np.subtract),
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _triangle,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
