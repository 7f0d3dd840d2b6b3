"""Keep large blocks in the process on glibc: returning them costs torch half its speed on CPUs."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
MEBIBYTE = 2**20


def keep_memory() -> None:
    """Raise glibc's thresholds for giving memory back; does nothing elsewhere."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # mallopt takes ints, hence below 2 GiB.
    mallopt(M_MMAP_THRESHOLD, 1024 * MEBIBYTE)
    mallopt(M_TRIM_THRESHOLD, 2047 * MEBIBYTE)
    mallopt(M_TOP_PAD, 256 * MEBIBYTE)
