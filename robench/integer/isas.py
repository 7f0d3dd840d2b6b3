"""The instruction sets an engine is compiled for, best first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Isa:
    """One instruction set.

    headers: its vector type, templates of `kernels/`. machine: the macro of its machines. target:
    what the compiler enables. supported: the C expression that asks the machine. registers: of 16
    lanes, for the accumulators. most_blocks: of 16 channels, in one tile. widened: weights are kept
    as s16.
    """

    name: str
    headers: tuple[str, ...]
    machine: str = ""
    target: str = ""
    supported: str = "1"
    registers: int
    most_blocks: int = 1
    widened: bool = False
    centred: bool = False


ISAS = (
    Isa(
        name="avx512vnni",
        headers=("vector_avx512.h",),
        machine="X86",
        target="avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
        supported='__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&'
        ' __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")',
        registers=32,
        most_blocks=4,
    ),
    Isa(
        name="avx2",
        headers=("vector_avx2.h",),
        machine="X86",
        target="avx2",
        supported='__builtin_cpu_supports("avx2")',
        registers=8,
        widened=True,
    ),
    Isa(
        name="dotprod",
        headers=("vector_dotprod.h", "finish_neon.h"),
        machine="ARM64",
        target="arch=armv8.2-a+dotprod",
        supported="(getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0",
        registers=8,
        centred=True,
    ),
    Isa(
        name="neon",
        headers=("vector_neon.h", "finish_neon.h"),
        machine="ARM64",
        registers=8,
        widened=True,
    ),
    Isa(name="c", headers=("vector_c.h",), registers=3, widened=True),
)
