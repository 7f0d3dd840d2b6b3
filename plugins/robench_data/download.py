"""Downloads of data sets: once, whichever process comes first, never half told.

Torchvision fetches and checks them, so that no other downloader is needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from http.client import HTTPException
from pathlib import Path
from textwrap import shorten

from robench import DataError

LOCK = ".download.lock"


def ensure(
    complete: Callable[[], bool],
    download: Callable[[], object],
    root: Path,
    folder: Path,
    expected: str,
) -> None:
    """Run `download` (through torchvision, with checksums) unless the files are complete.

    `folder`, below the data root, is where the files belong and `expected` names them: raises
    DataError with both when they are absent and cannot be downloaded.
    """
    if complete():
        return
    from filelock import FileLock

    new = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        # torchvision reports on stdout, which belongs to the result.
        with FileLock(root / LOCK), redirect_stdout(sys.stderr):
            if not complete():
                download()
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        _undo(new)
        reason = shorten(str(error), 160, placeholder=" ...")
        raise DataError(
            f"expected {expected} in {folder}, got no files and no download "
            f"({reason}); put the files there, or set data_root or ROBENCH_DATA"
        ) from error


def _undo(new: Sequence[Path]) -> None:
    """Remove folders that were made for nothing, the inner ones first; what they hold stays."""
    with suppress(OSError):
        for root in new[:1]:
            (root / LOCK).unlink()
            for below, _, _ in os.walk(root, topdown=False):
                Path(below).rmdir()
        for folder in new[1:]:
            folder.rmdir()
