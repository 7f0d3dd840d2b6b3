"""Downloads of data sets: once, whichever process comes first, never half told.

Torchvision fetches and checks them, so that no other downloader is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from http.client import HTTPException
from pathlib import Path
from textwrap import shorten

from robench import DataError


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

    try:
        root.mkdir(parents=True, exist_ok=True)
        # torchvision reports on stdout, which belongs to the result.
        with FileLock(root / ".download.lock"), redirect_stdout(sys.stderr):
            if not complete():
                download()
    except (OSError, RuntimeError, ValueError, HTTPException) as error:
        reason = shorten(str(error), 160, placeholder=" ...")
        raise DataError(
            f"expected {expected} in {folder}, got no files and no download "
            f"({reason}); put the files there, or set data_root or ROBENCH_DATA"
        ) from error
