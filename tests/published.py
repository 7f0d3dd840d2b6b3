"""Published records, copied out of their collection."""

from __future__ import annotations

import shutil
from pathlib import Path

from robench.records.store import shared_files


def copy_of(folder: Path, to: Path) -> Path:
    """A record's folder with all files that are its own, those that others share among them."""
    shutil.copytree(folder, to)
    for name, path in shared_files(folder):
        shutil.copyfile(path, to / name)
    return to
