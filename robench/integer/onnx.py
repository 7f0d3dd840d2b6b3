"""ONNX export with quantize/dequantize pairs (QDQ) for ONNX Runtime and OpenVINO; not bit-exact.

A program holds ratios of scales, not scales; every code is therefore given the real size 1, and a
kernel the real size of its multiplier. The last one's is that of a logit, which a softmax needs.
Runtimes requantise in floats: labels agree, bits do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from robench.base.errors import UserError
from robench.integer.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    Logits,
    MaxPool,
    Op,
    Weighted,
)
from robench.integer.program import Program

OPSET = 13


def export_onnx(program: Program, path: Path) -> None:
    """Write a program as a QDQ model: `images` float32 (N, C, H, W) in 8-bit units to `logits`.

    Logits are of their real size, as those of the network that the program was made of, and no
    integers: a softmax of integers is 0 or 1, and its gradient none.
    Needs the package onnx. Raises: UserError when it is missing, or for a multiplier below zero.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError("export to ONNX: expected the package onnx; pip install onnx") from error
    graph = _Graph(program)
    model = onnx.helper.make_model(
        graph.build(), opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


class _Graph:
    """Nodes and constants; tensor `t<i>` holds the u8 codes of operation i."""

    def __init__(self, program: Program) -> None:
        from onnx import helper, numpy_helper

        self.program, self.helper, self.numpy_helper = program, helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def build(self) -> Any:
        """The graph."""
        from onnx import TensorProto

        for index, op in enumerate(self.program.ops):
            self._op(index, op)
        info = self.helper.make_tensor_value_info
        images = info("images", TensorProto.FLOAT, ["n", *self.program.shapes[0]])
        logits = info("logits", TensorProto.FLOAT, ["n", self.program.classes])
        return self.helper.make_graph(
            self.nodes, "integer_program", [images], [logits], self.constants
        )

    def _op(self, index: int, op: Op) -> None:
        match op:
            case Input():
                self._input(op)
            case Conv():
                self._conv(index, op)
            case Linear() | Logits():
                self._linear(index, op)
            case Add():
                self._add(index, op)
            case Affine():
                self._affine(index, op)
            case MaxPool():
                pads = [op.padding] * 4
                size = {"kernel_shape": [op.kernel] * 2, "strides": [op.stride] * 2, "pads": pads}
                self._node("MaxPool", [f"t{op.x}"], f"t{index}", **size)
            case AvgPool():
                self._avg_pool(index, op)
            case Flatten():
                self._node("Flatten", [f"t{op.x}"], f"t{index}", axis=1)
            case _:
                assert_never(op)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, value: Any, dtype: type) -> str:
        array: npt.NDArray[Any] = np.asarray(value, dtype)
        self.constants.append(self.numpy_helper.from_array(array, name))
        return name

    def _zero_point(self, index: int) -> int:
        op = self.program.ops[index]
        return op.zero_point if isinstance(op, Conv | Linear) else 0

    def _dequantized(self, name: str, source: str, scale: Any, zero: Any, axis: int = 1) -> str:
        inputs = [source, self._constant(f"{name}_scale", scale, np.float32)]
        inputs.append(self._constant(f"{name}_zero", zero, type(zero)) if np.isscalar(zero) else "")
        return self._node("DequantizeLinear", inputs, name, axis=axis)

    def _real(self, index: int, reader: int, scale: float = 1.0) -> str:
        """Codes of tensor `index` less their zero point, times `scale`, for operation `reader`."""
        zero = np.uint8(self._zero_point(index))
        return self._dequantized(f"r{index}_{reader}_{len(self.nodes)}", f"t{index}", scale, zero)

    def _quantized(self, index: int, source: str, zero: int = 0, scale: float = 1.0) -> None:
        inputs = [source, self._constant(f"q{index}_scale", scale, np.float32)]
        inputs.append(self._constant(f"q{index}_zero", zero, np.uint8))
        self._node("QuantizeLinear", inputs, f"t{index}")

    def _input(self, op: Input) -> None:
        low = self._constant("low", op.low, np.float32)
        shifted = self._node("Sub", ["images", low], "shifted")
        self._quantized(0, shifted, scale=2.0**op.shift / op.multiplier)

    def _kernel(self, index: int, op: Weighted) -> list[str]:
        """Names of the dequantised kernel and bias; the bias takes in the input's zero point."""
        if (op.multiplier < 0).any():
            raise UserError("export to ONNX: expected multipliers >= 0, got some below; rebuild")
        unit = op.unit / 2.0**32 if isinstance(op, Logits) else 1.0
        scale = np.maximum(op.multiplier / 2.0**op.shift * unit, 1e-30)
        sums = op.weight.reshape(len(op.weight), -1).astype(np.int64).sum(1)
        bias = op.bias + self._zero_point(op.x) * sums
        names = []
        for name, values, dtype in (
            (f"w{index}", op.weight, np.int8),
            (f"b{index}", bias, np.int32),
        ):
            source = self._constant(f"{name}_codes", values, dtype)
            inputs = [source, self._constant(f"{name}_scale", scale, np.float32)]
            inputs.append(self._constant(f"{name}_zero", np.zeros(len(scale)), dtype))
            names.append(self._node("DequantizeLinear", inputs, name, axis=0))
        return names

    def _conv(self, index: int, op: Conv) -> None:
        pads = [op.padding] * 4
        source = op.x
        if op.padding and (op.border != self._zero_point(source)).any():
            real, pads = self._bordered(index, op), [0] * 4
        else:
            real = self._real(source, index)
        out = self._node(
            "Conv",
            [real, *self._kernel(index, op)],
            f"y{index}",
            kernel_shape=op.weight.shape[2:],
            strides=[op.stride] * 2,
            pads=pads,
        )
        self._quantized(index, out, op.zero_point)

    def _bordered(self, index: int, op: Conv) -> str:
        """The input inside its border, channel by channel."""
        pads = self._constant(f"pads{index}", [0, 0, op.padding, op.padding] * 2, np.int64)
        names = [f"c{index}_{channel}" for channel in range(len(op.border))]
        self.nodes.append(self.helper.make_node("Split", [f"t{op.x}"], names, axis=1))
        padded = [
            self._node("Pad", [n, pads, self._constant(f"{n}_b", border, np.uint8)], f"{n}_p")
            for n, border in zip(names, op.border, strict=True)
        ]
        self._node("Concat", padded, f"p{index}", axis=1)
        zero = np.uint8(self._zero_point(op.x))
        return self._dequantized(f"pr{index}", f"p{index}", 1.0, zero)

    def _linear(self, index: int, op: Linear | Logits) -> None:
        inputs = [self._real(op.x, index), *self._kernel(index, op)]
        if isinstance(op, Logits):
            self._node("Gemm", inputs, "logits", transB=1)
        else:
            self._quantized(index, self._node("Gemm", inputs, f"y{index}", transB=1), op.zero_point)

    def _add(self, index: int, op: Add) -> None:
        factors = [m / 2.0**op.shift for m in (op.multiplier_a, op.multiplier_b)]
        if min(factors) <= 0:
            raise UserError("export to ONNX: expected multipliers > 0, got others; rebuild")
        parts = [self._real(x, index, f) for x, f in zip((op.a, op.b), factors, strict=True)]
        out = self._node("Add", parts, f"y{index}")
        zeros = sum(f * self._zero_point(x) for x, f in zip((op.a, op.b), factors, strict=True))
        self._quantized(index, self._plus(index, out, op.bias, op.shift, zeros))

    def _plus(self, index: int, name: str, bias: int, shift: int, zeros: float = 0.0) -> str:
        """Adds the constant of the codes, less the half that rounds, unless negligible."""
        constant = (bias - (1 << shift >> 1)) / 2.0**shift + zeros
        if abs(constant) < 1 / 64:
            return name
        return self._node(
            "Add", [name, self._constant(f"k{index}", constant, np.float32)], f"z{index}"
        )

    def _affine(self, index: int, op: Affine) -> None:
        unit = 2.0**op.shift
        gain = self._constant(f"g{index}", (op.multiplier / unit)[:, None, None], np.float32)
        offset = (op.bias - (1 << op.shift >> 1)) / unit
        zero = self._zero_point(op.x) * op.multiplier / unit
        shift = self._constant(f"o{index}", (offset + zero)[:, None, None], np.float32)
        scaled = self._node("Mul", [self._real(op.x, index), gain], f"y{index}")
        self._quantized(index, self._node("Add", [scaled, shift], f"z{index}"))

    def _avg_pool(self, index: int, op: AvgPool) -> None:
        factor = op.multiplier * op.kernel_h * op.kernel_w / 2.0**op.shift
        pooled = self._node(
            "AveragePool",
            [self._real(op.x, index, factor)],
            f"y{index}",
            kernel_shape=[op.kernel_h, op.kernel_w],
            strides=[op.stride] * 2,
        )
        zeros = factor * self._zero_point(op.x)
        self._quantized(index, self._plus(index, pooled, op.bias, op.shift, zeros))
