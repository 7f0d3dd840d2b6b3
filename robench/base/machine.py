"""What makes a run fast on this machine: memory kept, idle threads asleep, native formats."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import platform
import sys
from functools import cache

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 2**20
CPUINFO = "/proc/cpuinfo"
NATIVE_BF16 = {"amx_bf16", "avx512_bf16", "bf16"}
"""What Linux calls the instructions that multiply bfloat16, on x86 and on ARM."""
FEATURES = ("flags", "Features")
"""The line of /proc/cpuinfo that names a CPU's features, on x86 and on ARM."""


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
        # Else what is set aside outlives the interpreter, and libraries report it as leaked.
        atexit.register(gc.unfreeze)
    gc.enable()


def leave_collector() -> None:
    """Let this process end without another look at all that is left: a tenth of what a short
    command takes. After `resume_collector` libraries still get their look."""
    gc.freeze()


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


def allotted_threads() -> int | None:
    """The processors that Slurm gave this job; None outside of one that asked for some."""
    told = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(told) if told.isdecimal() and int(told) else None


@cache
def fastest_precision() -> str:
    """bf16 where the GPU or the CPU multiplies it natively, else float32.

    Where a CPU emulates bfloat16, training took ten times as long as in float32.
    """
    import torch

    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bf16" if cpu_flags() & NATIVE_BF16 else "float32"


@cache
def cpu_name() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """The CPU's features as Linux names them; empty elsewhere.

    Read from the kernel: torch.backends.cpu names one vector width (AVX512), not the instructions.
    """
    try:
        with open(CPUINFO, encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith(FEATURES)), "")
    except OSError:
        return set()
    return set(flags.partition(":")[2].split())


INTEGER = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
"""CPU features by which runtimes choose their kernels of integers, on x86 and on ARM."""


def instruction_set() -> str:
    """The machine and those of its features by which runtimes choose kernels, in words."""
    flags = cpu_flags()
    return " ".join((platform.machine(), *(one for one in INTEGER if one in flags)))
