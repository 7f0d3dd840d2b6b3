"""The C of one instruction set: its convolution kernels, and the order of operations.

Written by f-strings, not templates: the kernels are C files already, and what is left are calls
whose every number comes from the program's shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from robench.integer.isas import Isa
from robench.integer.layout import GROUP, Plan
from robench.integer.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Int8,
    Linear,
    Logits,
    MaxPool,
)
from robench.integer.program import Program
from robench.integer.tiles import amx_tile, tile

IMAGES = "const uint8_t *bytes, const int16_t *words"


class Body:
    """Lines of C for one instruction set; equal convolution shapes share one kernel."""

    def __init__(
        self, program: Program, layout: Plan, packed: Mapping[int, Int8], isa: Isa
    ) -> None:
        self.program, self.layout, self.packed, self.isa = program, layout, packed, isa
        self.kernels: dict[str, str] = {}

    def lines(self) -> Iterable[str]:
        """Definitions up to `prepare` and `infer` of this instruction set."""
        head = [f"    {self._call(i)}" for i in self.layout.head]
        tail = [line for i in self.layout.tail for line in self._tail_call(i)]
        yield from self._prepare()
        yield from self.kernels.values()
        yield f"static void ISA(head)({IMAGES}, int n, uint8_t *s) {{"
        yield from [*head, "}"]
        yield (
            f"static void ISA(infer)({IMAGES}, int n, uint8_t *s, int32_t *logits) {{\n"
            "    for (int i = 0; i < n; i++)\n"
            "        ISA(head)(bytes ? bytes + (size_t)i * PIXELS : NULL,"
            " words ? words + (size_t)i * PIXELS : NULL, i, s);"
        )
        yield from tail
        out = self.layout.tail[-1]
        yield (
            "    for (int i = 0; i < n; i++)\n"
            f"        memcpy(logits + i * CLASSES, s + {self.layout.offsets[out]} + "
            f"i * {self.layout.tensors[out].bytes}, CLASSES * sizeof *logits);\n}}"
        )

    def _prepare(self) -> Iterable[str]:
        """Weights or biases of this instruction set's own, made before the first run."""
        calls = []
        for index, weight in self.packed.items():
            own = f"{index}_{self.isa.name}"
            if self.isa.widened:
                yield f"static int16_t W{own}[{weight.size}] __attribute__((aligned(64)));"
                calls.append(f"    ISA(widen)(W{own}, W{index}, {weight.size});")
            if self.isa.centred:
                yield f"static int32_t B{own}[{16 * len(weight)}];"
                calls.append(
                    f"    ISA(centre)(B{own}, B{index}, W{index}, {len(weight)}, {weight[0].size});"
                )
        yield "\n".join(["static void ISA(prepare)(void) {", *calls, "}"])

    def _operands(self, index: int) -> str:
        """Weights, bias and multipliers of a kernel call."""
        weights = f"W{index}_{self.isa.name}" if self.isa.widened else f"W{index}"
        bias = f"B{index}_{self.isa.name}" if self.isa.centred else f"B{index}"
        return f"{weights}, {bias}"

    def _call(self, index: int) -> str:
        op = self.program.ops[index]
        match op:
            case Input():
                return self._input(index, op)
            case Conv():
                return self._conv(index, op, index, "NULL")
            case Linear() | Logits():
                return self._linear(index, 1, "n")
            case Add():
                return self._add(index, op)
            case Affine():
                return self._affine(index, op)
            case MaxPool() | AvgPool():
                return self._pool(index, op)
            case Flatten():
                t = self.layout.tensors[op.x]
                shape = f"{t.channels}, {t.height}, {t.width}, {t.step}, {t.pitch}"
                return f"ISA(flatten)({self._at(op.x)}, {self._at(index)}, {shape});"
            case _:
                assert_never(op)

    def _tail_call(self, index: int) -> Iterable[str]:
        """A full group reads the weights once; fewer images go one by one."""
        yield f"    if (n == GROUP) {self._linear(index, GROUP, '0')}"
        yield f"    else for (int i = 0; i < n; i++) {self._linear(index, 1, 'i')}"

    def _at(self, index: int, padding: int = 0, image: str = "n") -> str:
        """C expression for the first pixel of a tensor, or for `padding` pixels before it."""
        t = self.layout.tensors[index]
        group = f" + (size_t){image} * {t.bytes}" if t.grouped and image != "0" else ""
        return f"s + {self.layout.offsets[index] + t.at(padding)}{group}"

    def _input(self, index: int, op: Input) -> str:
        t = self.layout.tensors[index]
        rest = (
            f"{self._at(index)}, {op.channels}, {op.height}, {op.width}, {t.pitch}, {t.step}, "
            f"{op.low}, {op.high}, {op.multiplier}, {op.shift});"
        )
        return f"if (bytes) ISA(input)(bytes, NULL, {rest}\n    else ISA(input)(NULL, words, {rest}"

    def _add(self, index: int, op: Add) -> str:
        if index in self.layout.residual:
            conv = self.layout.residual[index]
            other = op.a if conv == op.b else op.b
            fused = self.program.ops[conv]
            assert isinstance(fused, Conv)
            return self._conv(index, fused, conv, self._at(other), other)
        a, b, out = (self.layout.tensors[i] for i in (op.a, op.b, index))
        pointers = f"{self._at(op.a)}, {self._at(op.b)}, {self._at(index)}"
        sizes = f"{out.height}, {out.width * out.step}, {a.pitch}, {b.pitch}, {out.pitch}"
        return f"ISA(sum)({pointers}, {sizes}, &L{index});"

    def _affine(self, index: int, op: Affine) -> str:
        t, out = self.layout.tensors[op.x], self.layout.tensors[index]
        pointers = f"{self._at(op.x)}, {self._at(index)}"
        sizes = f"{t.height}, {t.width}, {t.step}, {t.pitch}, {out.pitch}"
        return f"ISA(affine)({pointers}, {sizes}, M{index}, B{index}, {op.shift});"

    def _pool(self, index: int, op: MaxPool | AvgPool) -> str:
        t, out = self.layout.tensors[op.x], self.layout.tensors[index]
        pointers = f"{self._at(op.x)}, {self._at(index)}"
        sizes = f"{out.height}, {out.width}, {t.step}, {t.pitch}, {out.pitch}"
        if isinstance(op, MaxPool):
            window = f"{op.kernel}, {op.stride}, {op.padding}"
            return f"ISA(max_pool)({pointers}, {t.height}, {t.width}, {sizes}, {window});"
        window = f"{op.kernel_h}, {op.kernel_w}, {op.stride}"
        return (
            f"ISA(avg_pool)({pointers}, {sizes}, {window}, {op.multiplier}, {op.bias}, {op.shift});"
        )

    def _conv(self, index: int, op: Conv, weights: int, res: str, other: int | None = None) -> str:
        t, out = self.layout.tensors[op.x], self.layout.tensors[index]
        extra = self.layout.tensors[other] if other is not None else None
        geometry = {
            "rows": op.weight.shape[2],
            "steps": self.packed[weights].shape[2],
            "in_pitch": t.pitch,
            "in_row": op.stride * t.pitch,
            "in_step": op.stride * t.step,
            "height": out.height,
            "width": out.width,
            "out_pitch": out.pitch,
            "out_step": out.step,
            "res_pitch": extra.pitch if extra else 0,
            "res_step": extra.step if extra else 0,
        }
        kernel = self._kernel(geometry, weights, op.shift, "RESIDUAL" if extra else "CODES")
        pointers = f"{self._at(op.x, op.padding)}, {self._at(index)}, {res}"
        return f"{kernel}({pointers}, {self._operands(weights)}, &L{index});"

    def _linear(self, index: int, images: int, image: str) -> str:
        """Images are the pixels of one row."""
        op = self.program.ops[index]
        assert isinstance(op, Linear | Logits)
        t, out = self.layout.tensors[op.x], self.layout.tensors[index]
        geometry = {
            "rows": 1,
            "steps": self.packed[index].shape[2],
            "in_step": t.bytes,
            "height": 1,
            "width": images,
            "out_step": out.bytes,
        }
        mode = "LOGITS" if isinstance(op, Logits) else "CODES"
        kernel = self._kernel(geometry, index, op.shift, mode)
        pointers = f"{self._at(op.x, 0, image)}, {self._at(index, 0, image)}, NULL"
        return f"{kernel}({pointers}, {self._operands(index)}, &L{index});"

    def _kernel(self, geometry: dict[str, int], weights: int, shift: int, mode: str) -> str:
        """Name of the kernel for this shape."""
        blocks = self.packed[weights].shape[0]
        if self.isa.tiled:
            px, nb, depth = amx_tile(geometry["width"], blocks, geometry["steps"])
        else:
            px, nb = tile(geometry["width"], blocks, self.isa.registers, self.isa.most_blocks)
            depth = 1
        geometry |= {"blocks": blocks, "px": px, "nb": nb, "depth": depth, "shift": shift}
        fields = ", ".join(f".{name} = {value}" for name, value in geometry.items())
        fields += f", .mode = {mode}"
        name = f"ISA(conv{len(self.kernels)})"
        if fields not in self.kernels:
            self.kernels[fields] = (
                f"KERNEL void {name}(const uint8_t *in, uint8_t *out, const uint8_t *res,\n"
                f"    const ISA(weight) *w, const int32_t *bias, const Layer *l) {{\n"
                f"    const Geometry g = {{{fields}}};\n"
                f"    ISA(conv)(in, out, res, w, bias, l, g);\n}}"
            )
        return self.kernels[fields].split("(const", 1)[0].removeprefix("KERNEL void ")
