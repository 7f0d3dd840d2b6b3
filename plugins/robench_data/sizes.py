"""How much a file may expand when it is read."""

from __future__ import annotations

from pathlib import Path

from robench import DataError

SMALL, LARGEST_RATIO = 2**26, 100
"""Arrays may take SMALL bytes, and LARGEST_RATIO more for each byte of their file."""


def check_expansion(size: int, path: Path) -> None:
    """Refuse a file that claims to expand to `size` bytes, before anything is allocated.

    Raises DataError beyond 64 MiB and a hundred times the file.
    """
    length = path.stat().st_size
    if size > SMALL + LARGEST_RATIO * length:
        raise DataError(
            f"expected at most {SMALL + LARGEST_RATIO * length} bytes in the {length} of {path}, "
            f"got a header with {size}; replace or remove it"
        )
