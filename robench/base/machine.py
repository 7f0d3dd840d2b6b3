"""What makes a run fast on this machine: memory kept, idle threads asleep, native formats."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 2**20
NATIVE_BF16 = {"amx_bf16", "avx512_bf16"}
"""What Linux calls the instructions that multiply bfloat16."""


def calm_threads() -> None:
    """Let waiting OpenMP threads sleep, unless the user says otherwise; call before torch loads.

    By default they spin. On a machine that other processes use as well, that made a training with
    two threads three times slower than with one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pause_collector() -> None:
    """Stop Python's cyclic collector while modules are imported; `resume_collector` ends it.

    Importing torch, pandas and the plugins makes a million objects that stay. The collector went
    through all of them again and again and freed next to nothing: a quarter of the CPU time of a
    run whose steps are cached.
    """
    gc.disable()


def resume_collector() -> None:
    """Start the cyclic collector; it never looks at what the imports made. Call before long work.

    Only the first call sets objects aside: the jobs of a sweep share a process, and what one leaves
    must be freed before the next.
    """
    if not gc.get_freeze_count():
        gc.freeze()
    gc.enable()


def keep_memory() -> None:
    """Raise glibc's thresholds for giving memory back; does nothing elsewhere.

    Returning large blocks after each layer costs torch up to half its speed.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # mallopt takes ints, hence below 2 GiB.
    mallopt(M_MMAP_THRESHOLD, 1024 * MEBIBYTE)
    mallopt(M_TRIM_THRESHOLD, 2047 * MEBIBYTE)
    mallopt(M_TOP_PAD, 256 * MEBIBYTE)


@cache
def fastest_precision() -> str:
    """bf16 where the GPU or the CPU multiplies it natively, else float32.

    Where a CPU emulates bfloat16, training took ten times as long as in float32.
    """
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if cpu_flags() & NATIVE_BF16 else "float32"


def cpu_flags() -> set[str]:
    """The CPU's features as Linux names them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(flags.partition(":")[2].split())
