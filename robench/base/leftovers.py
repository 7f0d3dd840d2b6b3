"""What writers left in a folder that were killed."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from robench.base.alive import now_in
from robench.base.files import OLD, PARTIAL

DAY = 24 * 3600.0


def sweep_leftovers(folder: Path, beginning: str = ".") -> None:
    """Delete what begins so, was left unfinished, and is more than a day old by the folder's clock.

    Where that cannot be done it stays.
    """
    with suppress(OSError):
        left = [
            folder / one
            for one in os.listdir(folder)
            if one.startswith(beginning) and one.endswith((PARTIAL, OLD))
        ]
        # Taking the time writes into the folder.
        now = now_in(folder) if left else 0.0
        for path in left:
            with suppress(OSError):
                if now - path.lstat().st_mtime > DAY:
                    _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
