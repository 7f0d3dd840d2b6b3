"""C99 for a program: kernel templates, weights as string literals, shapes as constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from robench.integer.codebody import Body
from robench.integer.isas import ISAS, Isa
from robench.integer.layout import GROUP, Plan, plan
from robench.integer.ops import Add, Affine, Conv, Int8, Linear, Logits, Weighted
from robench.integer.program import Program
from robench.integer.tiles import pack


def generate(program: Program, *, main: bool = False, isas: Sequence[Isa] = ISAS) -> str:
    """One C99 translation unit for these instruction sets, of which it picks the best at run time.

    With `main`, a program that reads images and prints labels.
    """
    layout = plan(program)
    parts = [_template("common.h"), *_constants(program, layout)]
    packed = _packed(program, layout)
    parts += [_literal(f"W{i}", weight) for i, weight in packed.items()]
    parts += [*_arrays(program), *_layers(program, layout), *_borders(layout)]
    for isa in isas:
        parts += _guarded(isa, _isa(isa, Body(program, layout, packed, isa)))
    parts += [*_table(isas), _template("run.h")]
    return "\n".join([*parts, _template("main.h")] if main else parts)


def probe() -> str:
    """C that says which instruction sets a machine has: `robench_has(i)` for the i-th of ISAS."""
    lines = [_template("common.h"), "int robench_has(int i) {", "    switch (i) {"]
    for index, isa in enumerate(ISAS):
        lines += _guarded(isa, [f"    case {index}: return {isa.supported};"])
    return "\n".join([*lines, "    default: return 0;", "    }", "}"])


def _constants(program: Program, layout: Plan) -> Iterable[str]:
    channels, height, width = program.shapes[0]
    yield f"#define CLASSES {program.classes}"
    yield f"#define PIXELS {channels * height * width}"
    yield f"#define GROUP {GROUP}"
    yield f"#define SCRATCH_BYTES ((size_t){layout.scratch})"


def _packed(program: Program, layout: Plan) -> dict[int, Int8]:
    weights = {}
    for index, op in enumerate(program.ops):
        if isinstance(op, Conv):
            weights[index] = pack(op.weight, layout.tensors[op.x].step)
        elif isinstance(op, Linear | Logits):
            weights[index] = pack(op.weight[:, :, None, None], layout.tensors[op.x].step)
    return weights


def _arrays(program: Program) -> Iterable[str]:
    for index, op in enumerate(program.ops):
        if isinstance(op, Weighted | Affine):
            yield _ints(f"B{index}", op.bias)
            yield _ints(f"M{index}", op.multiplier)


def _layers(program: Program, layout: Plan) -> Iterable[str]:
    """Constants of each weighted operation and sum; a sum's include its fused convolution's."""
    fused = set(layout.residual.values())
    for index, op in enumerate(program.ops):
        if index in fused or not isinstance(op, Weighted | Add):
            continue
        weighted = layout.residual.get(index, index)
        constants = _requant(program, weighted) + _sum(op, weighted)
        yield f"static const Layer L{index} = {{{', '.join(map(str, constants))}}};"


def _requant(program: Program, index: int) -> list[object]:
    match program.ops[index]:
        case Add():
            return [0, 0]
        case Conv() | Linear() as op:
            return [f"M{index}", op.zero_point]
        case _:
            return [f"M{index}", 0]


def _sum(op: object, weighted: int) -> list[object]:
    if not isinstance(op, Add):
        return [0, 0, 0, 0]
    a, b = op.multiplier_a, op.multiplier_b
    swapped = weighted == op.b
    return [*((b, a) if swapped else (a, b)), op.bias, op.shift]


def _borders(layout: Plan) -> Iterable[str]:
    lines = []
    for offset, tensor in layout.borders().items():
        yield f"static const uint8_t border_{offset}[] = {{{', '.join(map(str, tensor.border))}}};"
        step = tensor.step
        lines.append(
            f"    for (size_t i = 0; i < {tensor.bytes}; i += {step})\n"
            f"        memcpy(scratch + {offset} + i, border_{offset}, {step});"
        )
    yield "\n".join(
        ["static void fill_borders(uint8_t *scratch) {", "    (void)scratch;", *lines, "}"]
    )


def _isa(isa: Isa, body: Body) -> Iterable[str]:
    if isa.target:
        attribute = f'__attribute__((target("{isa.target}")))'
        yield "#ifdef __clang__"
        yield f"#pragma clang attribute push({attribute}, apply_to = function)\n#else"
        yield f'#pragma GCC push_options\n#pragma GCC target("{isa.target}")\n#endif'
    yield f"#define ISA_NAME {isa.name}"
    yield from (_template(name) for name in (*isa.headers, "ops.h"))
    yield from body.lines()
    yield f"static int ISA(supported)(void) {{ return {isa.supported}; }}"
    yield "#undef ISA_NAME"
    if isa.target:
        yield "#ifdef __clang__\n#pragma clang attribute pop\n#else"
        yield "#pragma GCC pop_options\n#endif"


def _table(isas: Sequence[Isa]) -> Iterable[str]:
    yield "static const Isa isas[] = {"
    for isa in isas:
        functions = ", ".join(f"{f}_{isa.name}" for f in ("supported", "prepare", "infer"))
        yield from _guarded(isa, [f'    {{"{isa.name}", {functions}}},'])
    yield "    {NULL, NULL, NULL, NULL},\n};"


def _guarded(isa: Isa, lines: Iterable[str]) -> Iterable[str]:
    return [f"#ifdef {isa.machine}", *lines, "#endif"] if isa.machine else lines


def _template(name: str) -> str:
    return (files("robench.integer") / "kernels" / name).read_text()


def _ints(name: str, values: npt.NDArray[np.int32]) -> str:
    """Padded to whole lanes, so that vectors can be loaded."""
    padded = [*values.tolist(), *[0] * (-len(values) % 16)]
    return f"static const int32_t {name}[{len(padded)}] = {{{', '.join(map(_int32, padded))}}};"


def _int32(value: int) -> str:
    return "-2147483647 - 1" if value == -(2**31) else str(value)


_ESCAPES = [f"\\{value:03o}" for value in range(256)]


def _literal(name: str, weights: Int8) -> str:
    """Signed bytes as a string: compilers read these ten times faster than lists of numbers."""
    data = weights.tobytes()
    lines = (
        '"' + "".join(map(_ESCAPES.__getitem__, data[at : at + 64])) + '"'
        for at in range(0, len(data), 64)
    )
    declaration = f"static const int8_t {name}[{len(data) + 1}] __attribute__((aligned(64)))"
    return f"{declaration} =\n" + "\n".join(lines) + ";"
