"""A torch export (.pt2) as a table: ATen calls, and the quantisers that PT2E puts between them.

PT2E's program computes in float32 between a dequantisation and the next quantisation, and so does
the table. Shapes come from what the file declares; sums over sizes need no operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from robench.graph.build import Builder, chosen, named
from robench.graph.errors import UnknownOperator, UnreadableFile
from robench.graph.pt2 import ARITHMETIC, Call, Program, Ref, probed, read_program, run_call
from robench.graph.table import (
    AveragePool,
    Binary,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Elu,
    Gather,
    Graph,
    GroupNorm,
    LayerNorm,
    LeakyRelu,
    MatMul,
    MaxPool,
    Pad,
    Quantise,
    Quantiser,
    Reduce,
    Resize,
    Slice,
    Softmax,
    Transpose,
    Unary,
)
from robench.graph.weights import code_bits

UNARY = {
    **{name: name for name in (
        "abs", "ceil", "cos", "erf", "exp", "floor", "log", "mish", "reciprocal", "relu", "round",
        "rsqrt", "sigmoid", "sign", "silu", "sin", "sqrt", "tanh",
    )},
    "hardsigmoid": "hard_sigmoid",
    "hardswish": "hard_swish",
    "neg": "negate",
}  # fmt: skip
"""torch's names of functions of one number; in place (`relu_`) they are the same."""
BINARY = {
    "add": "add",
    "div": "divide",
    "maximum": "maximum",
    "minimum": "minimum",
    "mul": "multiply",
    "pow": "power",
    "sub": "subtract",
}
REDUCE = {"amax": "max", "amin": "min", "mean": "mean", "sum": "sum"}
SHAPED = frozenset({"_unsafe_view", "flatten", "reshape", "unflatten", "view"})
"""The same numbers in the shape that the file declares."""
SAME = frozenset(
    {"_to_copy", "alias", "clone", "contiguous", "detach", "detach_", "dropout", "dropout_",
     "feature_dropout", "lift_fresh_copy", "to"}
)  # fmt: skip
"""What changes nothing in a network that is not trained."""
IGNORED = frozenset({"_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_size",
                     "sym_constrain_range_for_size"})  # fmt: skip
PADS: dict[str, Literal["constant", "edge", "reflect"]] = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
}


def read_aten(path: Path, input_name: str | None, output_name: str | None) -> Graph:
    """The table of a torch export.

    Raises UnreadableFile, and UnknownOperator (all that are unknown, at once).
    """
    program = read_program(path)
    unknown = {call.target for call in program.calls if not _known(call)}
    if unknown:
        raise UnknownOperator(unknown)
    return _Reader(program, input_name, output_name).table()


def _name(call: Call) -> str:
    """An operator's name without namespace and overload."""
    return call.target if call.target in ARITHMETIC else call.target.split(".")[-2]


def _known(call: Call) -> bool:
    """Whether an operator can be read, or is folded as nothing in it depends on the input."""
    name = _name(call)
    known = {*UNARY, *BINARY, *REDUCE, *SHAPED, *SAME, *IGNORED, *ARITHMETIC, *_SPECIAL}
    return name in known or name.removesuffix("_") in known or name in _FOLDED


class _Reader:
    """One program's calls, put into a builder one after another."""

    def __init__(self, program: Program, input_name: str | None, output_name: str | None) -> None:
        self.program = program
        self.source = chosen("input", program.inputs, input_name)
        self.target = chosen("output", program.outputs, output_name)
        if len(program.inputs) > 1:
            raise UnknownOperator(["a program of several inputs"])
        self.builder = Builder(self.source)
        self.names: dict[str, str] = {self.source.name: self.source.name}
        self.fixed: dict[str, Tensor] = dict(program.tensors)
        """Tensors that do not depend on the input."""
        self.coded: dict[str, tuple[Any, ...]] = {}
        """Names that hold codes in the file, and the grid they are on; the table's are real."""
        self.bits: dict[str, int] = {}
        """Of the codes that the file stores constants as."""
        self.made = 0

    def table(self) -> Graph:
        """The whole table."""
        for call in self.program.calls:
            self._one(call)
        if self.target.name not in self.names or self.target.name in self.coded:
            raise UnknownOperator(["an output that holds codes, or depends on no input"])
        graph = self.builder.finish(replace(self.target, name=self.names[self.target.name]))
        return named(graph, self.target)

    def _one(self, call: Call) -> None:
        name = _name(call)
        plain = name if name in _SPECIAL or name in SAME else name.removesuffix("_")
        if name in ARITHMETIC or name in IGNORED:
            return
        if not any(ref in self.names for ref in _used(call)) and not self._batched(call):
            self._fold(call)
        elif plain in SAME:
            self._same(call)
        elif plain in SHAPED:
            self._moved(call, self._shaped(call))
        elif plain in _MOVED:
            self._moved(call, _MOVED[plain](self, call))
        else:
            self._real(call)
            if plain in UNARY:
                self._give(call, self._apply(self._x(call), UNARY[plain]))
            elif plain in BINARY:
                self._binary(call, BINARY[plain])
            elif plain in REDUCE:
                self._reduce(call, REDUCE[plain])
            elif plain in _SPECIAL:
                _SPECIAL[plain](self, call)
            else:
                raise UnknownOperator([call.target])

    # --- values ------------------------------------------------------------------------------

    def _new(self) -> str:
        self.made += 1
        return f"made:{self.made}"

    def _fold(self, call: Call) -> None:
        """A call that no input reaches: its result is a constant."""
        for ref in _used(call):
            if ref in self.program.sizes and ref not in self.fixed:
                raise UnreadableFile(f"expected {ref!r} to be made before it is read")
            if ref not in self.fixed:
                raise UnknownOperator([f"{call.target} of the batch's size"])
        probed(call, {ref: self.fixed[ref].to("meta") for ref in _used(call)})
        self.fixed.update(run_call(call, self.fixed))
        if (bits := self._stored_bits(call)) is not None:
            self.bits.update(dict.fromkeys(call.results, bits))

    def _stored_bits(self, call: Call) -> int | None:
        """Bits of the codes that a constant was made of, or was moved from."""
        given = call.arguments
        if _name(call) in _GRIDS and not self.fixed[self._ref(call).name].is_floating_point():
            low, high = given.get("quant_min"), given.get("quant_max")
            if isinstance(low, int) and isinstance(high, int):
                return min(code_bits(high - low), 64)
        moved = _name(call) in {*_MOVED, *SHAPED, *SAME}
        return self.bits.get(next(iter(_used(call)), "")) if moved else None

    def _batched(self, call: Call) -> bool:
        """Whether a constant is repeated for every image of a batch."""
        size = self.program.sizes[call.results[0]] if _name(call) == "expand" else ()
        return None in size[:1] or (bool(size) and size[0] == self.source.shape[0])

    def _real(self, call: Call) -> None:
        """Refuse to compute with codes."""
        if _name(call) not in _GRIDS and any(ref in self.coded for ref in _used(call)):
            raise UnknownOperator([f"{call.target} of codes"])

    def _give(self, call: Call, name: str, place: int = 0) -> None:
        self.names[call.results[place]] = name

    def _moved(self, call: Call, names: Sequence[str] | str) -> None:
        """Numbers that were only moved: codes stay codes of the same grid."""
        given = [names] if isinstance(names, str) else names
        grids = {self.coded.get(ref) for ref in _used(call) if ref in self.names} or {None}
        if len(grids) != 1:
            raise UnknownOperator([f"{call.target} of different grids"])
        (grid,) = grids
        if grid is not None and grid[3] is not None:
            raise UnknownOperator([f"{call.target} of codes with a grid a channel"])
        for result, name in zip(call.results, given, strict=True):
            self.names[result] = name
            if grid is not None:
                self.coded[result] = grid

    def _same(self, call: Call) -> None:
        if call.arguments.get("train") or call.arguments.get("training"):
            raise UnknownOperator([f"{call.target} while training"])
        kind = self.program.dtypes[call.results[0]]
        coded = self._ref(call).name in self.coded
        if not coded and kind != torch.float32:
            raise UnknownOperator([f"{call.target} to {kind}"])
        self._moved(call, self._x(call))

    def _ref(self, call: Call, argument: str | None = None) -> Ref:
        """The tensor in an argument; the first where none is named."""
        value = call.arguments.get(argument) if argument else next(iter(call.arguments.values()))
        if not isinstance(value, Ref):
            raise UnreadableFile(f"expected a tensor in {call.target}, got {value!r:.60}")
        return value

    def _x(self, call: Call) -> str:
        return self._tensor(self._ref(call).name)

    def _tensor(self, name: str) -> str:
        """The table's name of a tensor; a constant is added."""
        if name not in self.names:
            if name not in self.fixed:
                raise UnreadableFile(f"expected {name!r} to be made before it is read")
            self.names[name] = self._constant(self.fixed[name], self.bits.get(name))
        return self.names[name]

    def _constant(self, tensor: Tensor, bits: int | None = None) -> str:
        kind = torch.float32 if tensor.is_floating_point() else torch.int64
        return self.builder.constant(self._new(), tensor.detach().to(kind).numpy(), bits=bits)

    def _number(self, value: float) -> str:
        return self._constant(torch.tensor(float(value)))

    def _value(self, call: Call, argument: str) -> str:
        """An argument that is a tensor or a number."""
        value = call.arguments[argument]
        if isinstance(value, Ref):
            return self._tensor(value.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnknownOperator([f"{call.target} of {value!r:.40}"])
        return self._number(value)

    def _weights(self, call: Call, *arguments: str) -> tuple[str, ...]:
        """The tensors in some arguments, without those left out at the end."""
        given = [call.arguments.get(name) for name in arguments]
        return tuple(self._tensor(one.name) for one in given if isinstance(one, Ref))

    def _known_tensor(self, call: Call, argument: str) -> Tensor | None:
        """A constant argument, as numbers."""
        value = call.arguments.get(argument)
        if value is None:
            return None
        if not isinstance(value, Ref) or value.name not in self.fixed:
            raise UnknownOperator([f"{call.target} whose {argument} is no constant"])
        return self.fixed[value.name]

    def _axis(self, call: Call, axis: int, extra: int = 0) -> int:
        """An axis counted from the front."""
        axes = len(self.program.sizes[self._ref(call).name]) + extra
        if not isinstance(axis, int) or not -axes <= axis < axes:
            raise UnreadableFile(f"expected an axis of {axes} in {call.target}, got {axis!r:.40}")
        return axis % axes

    def _size(self, call: Call, axis: int) -> int:
        size = self.builder.shape(self._x(call))[axis]
        if size < 0:
            raise UnknownOperator([f"{call.target} along the batch"])
        return size

    def _to_shape(self, name: str, result: str) -> str:
        """A tensor in the shape that the file declares for a result, the batch free."""
        shape = self.program.sizes[result]
        batch = self.source.shape[0]
        if self.builder.batched(name) and batch is not None and None not in shape:
            if not shape or (shape[0] or 0) % batch:
                raise UnknownOperator([f"a batch that is not the first size of {shape}"])
            shape = (-((shape[0] or 0) // batch), *shape[1:])
        return self.builder.reshape(name, shape, self._new())

    # --- what calls make ---------------------------------------------------------------------

    def _apply(self, name: str, function: Any) -> str:
        return self.builder.add(Unary(inputs=(name,), output=self._new(), function=function))

    def _both(self, a: str, b: str, function: Any) -> str:
        return self.builder.add(Binary(inputs=(a, b), output=self._new(), function=function))

    def _shaped(self, call: Call) -> str:
        return self._to_shape(self._x(call), call.results[0])

    def _unsqueeze(self, call: Call) -> str:
        name, axis = self._x(call), self._axis(call, call.arguments["dim"], 1)
        shape = self.builder.shape(name)
        return self.builder.reshape(name, (*shape[:axis], 1, *shape[axis:]), self._new())

    def _squeeze(self, call: Call) -> str:
        name, given = self._x(call), call.arguments.get("dim")
        shape = self.builder.shape(name)
        axes = [given] if isinstance(given, int) else given
        gone = range(len(shape)) if axes is None else {self._axis(call, axis) for axis in axes}
        kept = tuple(size for axis, size in enumerate(shape) if axis not in gone or size != 1)
        return self.builder.reshape(name, kept, self._new())

    def _prelu(self, call: Call) -> None:
        slope = self._known_tensor(call, "weight")
        assert slope is not None
        along = (-1, *[1] * (len(self.builder.shape(self._x(call))) - 2))
        self._give(call, self._both(self._x(call), self._constant(slope.reshape(along)), "prelu"))

    def _binary(self, call: Call, function: Any) -> None:
        names = list(call.arguments)[:2]
        a, b = self._value(call, names[0]), self._value(call, names[1])
        factor = call.arguments.get("alpha", 1)
        if factor != 1:
            b = self._both(b, self._number(factor), "multiply")
        if call.arguments.get("rounding_mode") is not None:
            raise UnknownOperator([f"{call.target} with rounding"])
        self._give(call, self._both(a, b, function))

    def _reduce(self, call: Call, function: Any) -> None:
        given = call.arguments.get("dim")
        axes = [given] if isinstance(given, int) else given
        if not axes:
            raise UnknownOperator([f"{call.target} over all axes"])
        reduce = Reduce(
            inputs=(self._x(call),),
            output=self._new(),
            function=function,
            axes=tuple(sorted({self._axis(call, axis) for axis in axes})),
            keep=bool(call.arguments.get("keepdim", False)),
        )
        if 0 in reduce.axes:
            raise UnknownOperator([f"{call.target} along the batch"])
        self._give(call, self.builder.add(reduce))

    def _conv(self, call: Call) -> None:
        given = call.arguments
        if given.get("transposed"):
            self._conv_transpose(call)
            return
        weight = self._known_tensor(call, "weight")
        if weight is None or weight.dim() != 4:
            raise UnknownOperator([f"{call.target} that is not in two dimensions"])
        dilation = _pair(given.get("dilation", 1))
        conv = Conv(
            inputs=(self._x(call), *self._weights(call, "weight", "bias")),
            output=self._new(),
            stride=_pair(given.get("stride", 1)),
            padding=_padding(given.get("padding", 0), weight.shape[2:], dilation),
            dilation=dilation,
            groups=given.get("groups", 1),
        )
        self._give(call, self.builder.add(conv))

    def _conv_transpose(self, call: Call) -> None:
        given = call.arguments
        weight = self._known_tensor(call, "weight")
        if weight is None or weight.dim() != 4:
            raise UnknownOperator([f"{call.target} that is not in two dimensions"])
        height, width = _pair(given.get("padding", 0))
        conv = ConvTranspose(
            inputs=(self._x(call), *self._weights(call, "weight", "bias")),
            output=self._new(),
            stride=_pair(given.get("stride", 1)),
            padding=(height, width, height, width),
            extra=_pair(given.get("output_padding", 0)),
            dilation=_pair(given.get("dilation", 1)),
            groups=given.get("groups", 1),
        )
        self._give(call, self.builder.add(conv))

    def _linear(self, call: Call) -> None:
        weight = self._known_tensor(call, "weight")
        assert weight is not None
        columns = self._constant(weight.t(), self.bits.get(self._ref(call, "weight").name))
        inputs = (self._x(call), columns, *self._weights(call, "bias"))
        self._give(call, self.builder.add(MatMul(inputs=inputs, output=self._new())))

    def _addmm(self, call: Call) -> None:
        if call.arguments.get("alpha", 1) != 1 or call.arguments.get("beta", 1) != 1:
            raise UnknownOperator([f"{call.target} with factors"])
        inputs = self._weights(call, "mat1", "mat2", "self")
        self._give(call, self.builder.add(MatMul(inputs=inputs, output=self._new())))

    def _matmul(self, call: Call) -> None:
        inputs = self._weights(call, *list(call.arguments)[:2])
        self._give(call, self.builder.add(MatMul(inputs=inputs, output=self._new())))

    def _attention(self, call: Call) -> None:
        given = call.arguments
        if given.get("dropout_p") or given.get("is_causal") or given.get("enable_gqa"):
            raise UnknownOperator([f"{call.target} with dropout, causal or grouped"])
        query, key, value = self._weights(call, "query", "key", "value")
        shape = self.builder.shape(key)
        axes = len(shape)
        order = (*range(axes - 2), axes - 1, axes - 2)
        scale = given.get("scale")
        factor = 1 / math.sqrt(shape[-1]) if scale is None else scale
        query = self._both(query, self._number(factor), "multiply")
        turned = self.builder.add(Transpose(inputs=(key,), output=self._new(), order=order))
        scores = self.builder.add(MatMul(inputs=(query, turned), output=self._new()))
        for mask in self._weights(call, "attn_mask"):
            scores = self._both(scores, mask, "add")
        shares = self.builder.add(Softmax(inputs=(scores,), output=self._new(), axis=axes - 1))
        self._give(call, self.builder.add(MatMul(inputs=(shares, value), output=self._new())))

    def _batch_norm(self, call: Call) -> None:
        if call.arguments.get("training"):
            raise UnknownOperator([f"{call.target} while training"])
        mean, variance = (self._known_tensor(call, f"running_{one}") for one in ("mean", "var"))
        if mean is None or variance is None:
            raise UnknownOperator([f"{call.target} without running statistics"])
        weight, bias = self._known_tensor(call, "weight"), self._known_tensor(call, "bias")
        scale = 1 / torch.sqrt(variance + call.arguments["eps"])
        scale = scale if weight is None else scale * weight
        offset = -mean * scale if bias is None else bias - mean * scale
        along = (-1, *[1] * (len(self.builder.shape(self._x(call))) - 2))
        scaled = self._both(self._x(call), self._constant(scale.reshape(along)), "multiply")
        self._give(call, self._both(scaled, self._constant(offset.reshape(along)), "add"))

    def _layer_norm(self, call: Call) -> None:
        shape = call.arguments["normalized_shape"]
        weights = self._weights(call, "weight", "bias")
        if len(weights) == 1:
            raise UnknownOperator([f"{call.target} with a weight and no bias"])
        axis = len(self.builder.shape(self._x(call))) - len(shape)
        epsilon = call.arguments.get("eps", 1e-5)
        norm = LayerNorm(
            inputs=(self._x(call), *weights), output=self._new(), axis=axis, epsilon=epsilon
        )
        self._give(call, self.builder.add(norm))

    def _group_norm(self, call: Call) -> None:
        weights = self._weights(call, "weight", "bias")
        if len(weights) != 2:
            raise UnknownOperator([f"{call.target} without weight and bias"])
        norm = GroupNorm(
            inputs=(self._x(call), *weights),
            output=self._new(),
            groups=call.arguments["num_groups"],
            epsilon=call.arguments.get("eps", 1e-5),
        )
        self._give(call, self.builder.add(norm))

    def _clip(self, call: Call) -> None:
        given = call.arguments
        name = _name(call).removesuffix("_")
        usual = {"hardtanh": (-1.0, 1.0), "relu6": (0.0, 6.0)}.get(name, (None, None))
        low = given.get("min", given.get("min_val", usual[0]))
        high = given.get("max", given.get("max_val", usual[1]))
        if isinstance(low, Ref | list) or isinstance(high, Ref | list):
            raise UnknownOperator([f"{call.target} between tensors"])
        clip = Clip(
            inputs=(self._x(call),),
            output=self._new(),
            low=-math.inf if low is None else float(low),
            high=math.inf if high is None else float(high),
        )
        self._give(call, self.builder.add(clip))

    def _gelu(self, call: Call) -> None:
        tanh = call.arguments.get("approximate", "none") == "tanh"
        self._give(call, self._apply(self._x(call), "gelu_tanh" if tanh else "gelu"))

    def _elu(self, call: Call) -> None:
        if call.arguments.get("scale", 1) != 1 or call.arguments.get("input_scale", 1) != 1:
            raise UnknownOperator([f"{call.target} with scales"])
        alpha = float(call.arguments.get("alpha", 1.0))
        self._give(
            call, self.builder.add(Elu(inputs=(self._x(call),), output=self._new(), alpha=alpha))
        )

    def _leaky(self, call: Call) -> None:
        slope = float(call.arguments.get("negative_slope", 0.01))
        leaky = LeakyRelu(inputs=(self._x(call),), output=self._new(), slope=slope)
        self._give(call, self.builder.add(leaky))

    def _softmax(self, call: Call) -> None:
        axis = self._axis(call, call.arguments["dim"])
        softmax = Softmax(
            inputs=(self._x(call),), output=self._new(), axis=axis, log="log" in _name(call)
        )
        self._give(call, self.builder.add(softmax))

    def _max_pool(self, call: Call) -> str:
        given = call.arguments
        kernel = _pair(given["kernel_size"])
        stride = _pair(given.get("stride") or kernel)
        dilation = _pair(given.get("dilation", 1))
        pool = MaxPool(
            inputs=(self._x(call),),
            output=self._new(),
            kernel=kernel,
            stride=stride,
            padding=self._ceiled(call, kernel, stride, dilation),
            dilation=dilation,
        )
        return self.builder.add(pool)

    def _ceiled(
        self,
        call: Call,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int] = (1, 1),
    ) -> tuple[int, int, int, int]:
        """Padding (top, left, bottom, right) of a pooling, with what rounding up adds."""
        before = _pair(call.arguments.get("padding", 0))
        after = list(before)
        if call.arguments.get("ceil_mode"):
            made = self.program.sizes[call.results[0]][2:]
            for place in (0, 1):
                size = self._size(call, 2 + place)
                reach = ((made[place] or 1) - 1) * stride[place]
                reach += dilation[place] * (kernel[place] - 1) + 1
                after[place] = max(reach - size - before[place], before[place])
        return (*before, after[0], after[1])

    def _average_pool(self, call: Call) -> None:
        given = call.arguments
        kernel = _pair(given["kernel_size"])
        stride = _pair(given.get("stride") or kernel)
        counted = bool(given.get("count_include_pad", True))
        if given.get("divisor_override") or (given.get("ceil_mode") and counted):
            raise UnknownOperator([f"{call.target} with another divisor"])
        pool = AveragePool(
            inputs=(self._x(call),),
            output=self._new(),
            kernel=kernel,
            stride=stride,
            padding=self._ceiled(call, kernel, stride),
            count_padding=counted,
        )
        self._give(call, self.builder.add(pool))

    def _adaptive_pool(self, call: Call) -> None:
        height, width = self._size(call, 2), self._size(call, 3)
        wanted = call.arguments["output_size"]
        if not all(isinstance(one, int) and one > 0 for one in wanted):
            raise UnknownOperator([f"{call.target} to {wanted!r:.40}"])
        if height % wanted[0] or width % wanted[1]:
            raise UnknownOperator([f"{call.target} of {height}x{width} to {wanted[0]}x{wanted[1]}"])
        kernel = (height // wanted[0], width // wanted[1])
        pool = AveragePool(
            inputs=(self._x(call),), output=self._new(), kernel=kernel, stride=kernel
        )
        self._give(call, self.builder.add(pool))

    def _resize(self, call: Call) -> None:
        height, width = self.program.sizes[call.results[0]][2:]
        if height is None or width is None or call.arguments.get("align_corners"):
            raise UnknownOperator([f"{call.target} with aligned corners or free sizes"])
        nearest = "nearest" in _name(call)
        if nearest and (height % self._size(call, 2) or width % self._size(call, 3)):
            raise UnknownOperator([f"{call.target} by no whole factor"])
        resize = Resize(
            inputs=(self._x(call),),
            output=self._new(),
            size=(height, width),
            mode="nearest" if nearest else "linear",
        )
        self._give(call, self.builder.add(resize))

    def _expand(self, call: Call) -> str:
        name, wanted = self._x(call), self.program.sizes[call.results[0]]
        there = self.builder.shape(name)
        there = (1,) * (len(wanted) - len(there)) + there
        batch = self.source.shape[0]
        shape = []
        for axis, (size, old) in enumerate(zip(wanted, there, strict=True)):
            free = size is None or (axis == 0 and size == batch)
            shape.append(old if old < 0 else -1 if free or size is None else size)
        return self.builder.expand(name, tuple(shape), self._new())

    def _permute(self, call: Call) -> str:
        name, axes = self._x(call), len(self.program.sizes[self._ref(call).name])
        given, order = call.arguments, list(range(axes))
        if _name(call) == "permute":
            order = [self._axis(call, axis) for axis in given["dims"]]
        elif _name(call) == "transpose":
            a, b = (self._axis(call, given[one]) for one in ("dim0", "dim1"))
            order[a], order[b] = b, a
        else:
            order.reverse()
        return self.builder.add(Transpose(inputs=(name,), output=self._new(), order=tuple(order)))

    def _concat(self, call: Call) -> str:
        parts = [self._tensor(one.name) for one in call.arguments["tensors"]]
        axis = self._axis_of(call, call.results[0], call.arguments.get("dim", 0))
        return self.builder.add(Concat(inputs=tuple(parts), output=self._new(), axis=axis))

    def _stack(self, call: Call) -> str:
        axis = self._axis_of(call, call.results[0], call.arguments.get("dim", 0))
        parts = []
        for one in call.arguments["tensors"]:
            name = self._tensor(one.name)
            shape = self.builder.shape(name)
            longer = (*shape[:axis], 1, *shape[axis:])
            parts.append(self.builder.reshape(name, longer, self._new()))
        return self.builder.add(Concat(inputs=tuple(parts), output=self._new(), axis=axis))

    def _axis_of(self, call: Call, name: str, axis: int) -> int:
        axes = len(self.program.sizes[name])
        if not -axes <= axis < axes or axis % axes == 0:
            raise UnknownOperator([f"{call.target} along the batch"])
        return axis % axes

    def _cut(self, name: str, axis: int, start: int, stop: int, step: int = 1) -> str:
        cut = Slice(
            inputs=(name,), output=self._new(), axis=axis, start=start, stop=stop, step=step
        )
        return self.builder.add(cut)

    def _slice(self, call: Call) -> str:
        given = call.arguments
        axis = self._axis(call, given.get("dim", 0))
        start, stop, step = (given.get(one) for one in ("start", "end", "step"))
        if any(isinstance(one, Ref) for one in (start, stop, step)):
            raise UnknownOperator([f"{call.target} at places that depend on sizes"])
        whole = slice(start, stop, step)
        if axis == 0:
            if (start or 0, step or 1) == (0, 1) and (stop is None or stop >= 2**31):
                return self._x(call)
            raise UnknownOperator([f"{call.target} along the batch"])
        return self._cut(self._x(call), axis, *whole.indices(self._size(call, axis)))

    def _select(self, call: Call) -> str:
        axis, place = self._axis(call, call.arguments["dim"]), call.arguments["index"]
        size = self._size(call, axis)
        if not isinstance(place, int) or not -size <= place < size:
            raise UnreadableFile(f"expected a place of {size} in {call.target}, got {place!r:.40}")
        cut = self._cut(self._x(call), axis, place % size, place % size + 1)
        return self._to_shape(cut, call.results[0])

    def _split(self, call: Call) -> list[str]:
        axis = self._axis(call, call.arguments.get("dim", 0))
        self._size(call, axis)
        start, parts = 0, []
        for result in call.results:
            stop = start + (self.program.sizes[result][axis] or 0)
            parts.append(self._cut(self._x(call), axis, start, stop))
            start = stop
        return parts

    def _unbind(self, call: Call) -> list[str]:
        axis = self._axis(call, call.arguments.get("dim", 0))
        self._size(call, axis)
        cuts = [self._cut(self._x(call), axis, i, i + 1) for i in range(len(call.results))]
        return [self._to_shape(cut, result) for cut, result in zip(cuts, call.results, strict=True)]

    def _roll(self, call: Call) -> str:
        name = self._x(call)
        for shift, given in zip(call.arguments["shifts"], call.arguments["dims"], strict=True):
            axis = self._axis(call, given)
            size = self._size(call, axis)
            index = self._constant((torch.arange(size) - shift) % size)
            gather = Gather(inputs=(name, index), output=self._new(), axis=axis)
            name = self.builder.add(gather)
        return name

    def _index_select(self, call: Call) -> str:
        axis, index = self._axis(call, call.arguments["dim"]), self._known_tensor(call, "index")
        assert index is not None
        if not bool(((index >= 0) & (index < self._size(call, axis))).all()):
            raise UnreadableFile(f"expected places of the axis in {call.target}")
        gather = Gather(
            inputs=(self._x(call), self._constant(index)), output=self._new(), axis=axis
        )
        return self.builder.add(gather)

    def _pad(self, call: Call) -> str:
        given = call.arguments
        words = str(given.get("mode", "constant"))
        if words not in PADS:
            raise UnknownOperator([f"{call.target} that is {words[:40]}"])
        flat = given["pad"]
        axes = len(self.builder.shape(self._x(call)))
        if not all(isinstance(one, int) for one in flat) or len(flat) % 2 or len(flat) > 2 * axes:
            raise UnknownOperator([f"{call.target} by {flat!r:.60}"])
        before, after = [0] * axes, [0] * axes
        for place in range(len(flat) // 2):
            before[axes - 1 - place], after[axes - 1 - place] = flat[2 * place : 2 * place + 2]
        # Codes are padded with codes; only what stands for real zero is a padding here.
        if self._ref(call).name in self.coded:
            raise UnknownOperator([f"{call.target} of codes"])
        pad = Pad(
            inputs=(self._x(call),),
            output=self._new(),
            before=tuple(before),
            after=tuple(after),
            value=float(given.get("value") or 0),
            mode=PADS[words],
        )
        return self.builder.add(pad)

    # --- quantisers --------------------------------------------------------------------------

    def _grid(self, call: Call) -> tuple[Any, ...]:
        """Scale, zero point, bounds and axis of a quantiser, comparable."""
        given = call.arguments
        axis = given.get("axis")
        scale, zero = (
            self._numbers(call, "scales" if axis is not None else "scale"),
            self._numbers(call, "zero_points" if axis is not None else "zero_point"),
        )
        if not all(math.isfinite(one) and one > 0 for one in scale) or len(scale) != len(zero):
            raise UnreadableFile(f"expected scales above 0 in {call.target}")
        return (scale, tuple(map(int, zero)), (given["quant_min"], given["quant_max"]), axis)

    def _numbers(self, call: Call, argument: str) -> tuple[float, ...]:
        value = call.arguments[argument]
        if isinstance(value, int | float):
            return (float(value),)
        tensor = self._known_tensor(call, argument)
        assert tensor is not None
        return tuple(tensor.flatten().tolist())

    def _quantise(self, call: Call) -> None:
        scale, zero, (low, high), axis = self._grid(call)
        shape = () if axis is None else (-1,)
        quantiser = Quantiser(
            np.array(scale, np.float32).reshape(shape),
            np.array(zero, np.int64).reshape(shape),
            axis,
            low,
            high,
            # PT2E's kernels multiply tensors on one grid, and divide by a scale a channel.
            reciprocal=axis is None,
        )
        self._give(
            call,
            self.builder.add(
                Quantise(inputs=(self._x(call),), output=self._new(), quantiser=quantiser)
            ),
        )
        self.coded[call.results[0]] = self._grid(call)

    def _dequantise(self, call: Call) -> None:
        if self.coded.get(self._ref(call).name) != self._grid(call):
            raise UnknownOperator([f"{call.target} onto another grid"])
        self._give(call, self._x(call))


def _used(call: Call) -> list[str]:
    """The tensors and sizes that a call reads."""
    found = []
    for value in call.arguments.values():
        members = value if isinstance(value, list) else [value]
        found += [one.name for one in members if isinstance(one, Ref)]
    return found


def _pair(value: Any) -> tuple[int, int]:
    """One number for both dimensions, or one each."""
    both = [value] if isinstance(value, int) else list(value)
    both = both * 2 if len(both) == 1 else both
    if len(both) != 2 or not all(isinstance(one, int) for one in both):
        raise UnreadableFile(f"expected two whole numbers, got {value!r:.60}")
    return (both[0], both[1])


def _padding(
    given: Any, kernel: Sequence[int], dilation: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Padding (top, left, bottom, right) of a convolution, from numbers or torch's words."""
    if given == "same":
        whole = [apart * (size - 1) for size, apart in zip(kernel, dilation, strict=True)]
        top, left = (one // 2 for one in whole)
        return (top, left, whole[0] - top, whole[1] - left)
    height, width = (0, 0) if given == "valid" else _pair(given)
    return (height, width, height, width)


_GRIDS = frozenset({"dequantize_per_channel", "dequantize_per_tensor"})
_MOVED: dict[str, Callable[[_Reader, Call], str | list[str]]] = {
    "cat": _Reader._concat,
    "chunk": _Reader._split,
    "constant_pad_nd": _Reader._pad,
    "expand": _Reader._expand,
    "index_select": _Reader._index_select,
    "max_pool2d": _Reader._max_pool,
    "numpy_T": _Reader._permute,
    "pad": _Reader._pad,
    "permute": _Reader._permute,
    "roll": _Reader._roll,
    "select": _Reader._select,
    "slice": _Reader._slice,
    "squeeze": _Reader._squeeze,
    "split": _Reader._split,
    "split_with_sizes": _Reader._split,
    "stack": _Reader._stack,
    "t": _Reader._permute,
    "transpose": _Reader._permute,
    "unbind": _Reader._unbind,
    "unsqueeze": _Reader._unsqueeze,
}
"""Operators that keep every number they give as it was."""
_SPECIAL: dict[str, Callable[[_Reader, Call], Any]] = {
    **_MOVED,
    "_log_softmax": _Reader._softmax,
    "_softmax": _Reader._softmax,
    "adaptive_avg_pool2d": _Reader._adaptive_pool,
    "addmm": _Reader._addmm,
    "avg_pool2d": _Reader._average_pool,
    "batch_norm": _Reader._batch_norm,
    "bmm": _Reader._matmul,
    "clamp": _Reader._clip,
    "clamp_max": _Reader._clip,
    "clamp_min": _Reader._clip,
    "conv2d": _Reader._conv,
    "conv_transpose2d": _Reader._conv_transpose,
    "convolution": _Reader._conv,
    "dequantize_per_channel": _Reader._dequantise,
    "dequantize_per_tensor": _Reader._dequantise,
    "elu": _Reader._elu,
    "gelu": _Reader._gelu,
    "group_norm": _Reader._group_norm,
    "hardtanh": _Reader._clip,
    "layer_norm": _Reader._layer_norm,
    "leaky_relu": _Reader._leaky,
    "linear": _Reader._linear,
    "log_softmax": _Reader._softmax,
    "matmul": _Reader._matmul,
    "mm": _Reader._matmul,
    "prelu": _Reader._prelu,
    "quantize_per_channel": _Reader._quantise,
    "quantize_per_tensor": _Reader._quantise,
    "relu6": _Reader._clip,
    "scaled_dot_product_attention": _Reader._attention,
    "softmax": _Reader._softmax,
    "upsample_bilinear2d": _Reader._resize,
    "upsample_nearest2d": _Reader._resize,
}
_FOLDED = frozenset({"arange", "full", "full_like", "index", "ones", "ones_like", "scalar_tensor",
                     "zeros", "zeros_like"})  # fmt: skip
"""Operators that are read only where nothing in them depends on the input."""
