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
    tiled: bool = False


AVX512 = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
HAS_AVX512 = " && ".join(f'__builtin_cpu_supports("{name}")' for name in AVX512.split(","))
ISAS = (
    Isa(
        name="amx",
        headers=("vector_avx512.h", "finish.h", "finish_row_avx512.h", "conv_amx.h"),
        machine="X86",
        target=f"{AVX512},amx-tile,amx-int8",
        supported=f"{HAS_AVX512} && amx_allowed()",
        registers=32,
        most_blocks=2,
        tiled=True,
    ),
    Isa(
        name="avx512vnni",
        headers=("vector_avx512.h", "finish.h", "finish_row_avx512.h", "conv.h"),
        machine="X86",
        target=AVX512,
        supported=HAS_AVX512,
        registers=32,
        most_blocks=4,
    ),
    Isa(
        name="avx2",
        headers=("vector_avx2.h", "finish.h", "finish_row.h", "conv.h"),
        machine="X86",
        target="avx2",
        supported='__builtin_cpu_supports("avx2")',
        registers=6,
        widened=True,
    ),
    Isa(
        name="dotprod",
        headers=("vector_dotprod.h", "vector_neon_common.h", "finish.h", "finish_row.h", "conv.h"),
        machine="ARM64",
        target="arch=armv8.2-a+dotprod",
        supported="(getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0",
        registers=8,
        centred=True,
    ),
    Isa(
        name="neon",
        headers=("vector_neon.h", "vector_neon_common.h", "finish.h", "finish_row.h", "conv.h"),
        machine="ARM64",
        registers=8,
        widened=True,
    ),
    Isa(
        name="c",
        headers=("vector_c.h", "finish.h", "finish_row.h", "conv.h"),
        registers=3,
        widened=True,
    ),
)
