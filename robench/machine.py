"""Settings of the process that make torch fast on CPUs: memory kept, waiting threads asleep."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 2**20


def calm_threads() -> None:
    """Let waiting OpenMP threads sleep, unless the user says otherwise; call before torch loads.

    By default they spin. On a machine that other processes use as well, that made a training with
    two threads three times slower than with one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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
