"""Models that many records of a collection keep alike: once, beside the records' folders.

A record names its files by their SHA-256. A model's file may lie beside the record's folder, as
`models/<SHA-256>.<ending>`, instead of within it; what the record says, and its digest, stay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from robench.base.errors import UserError
from robench.base.files import require_plain, write_whole
from robench.base.hashing import file_hash, is_hash

SHARED = "models"
MODEL = re.compile(r"program\.robench|model\.safetensors|network\.[A-Za-z0-9]{1,16}")
"""Names of the files that are shared."""


def place(folder: Path, name: str, digest: str) -> Path:
    """Where a file that a record names lies: within its folder, or else among the shared ones."""
    within = folder / name
    if os.path.lexists(within) or not (MODEL.fullmatch(name) and is_hash(digest)):
        return within
    shared = folder.parent / SHARED / f"{digest}{within.suffix}"
    there = os.path.lexists(shared) and not shared.parent.is_symlink()
    return shared if there else within


def elsewhere(folder: Path, files: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    """The files of a record that lie among the shared ones, by name; `files` is what it names."""
    for name, digest in sorted(files.items()):
        # A name may lead anywhere: whoever asks has not checked it yet.
        if (path := place(folder, name, digest)).parent == folder.parent / SHARED:
            yield name, path


def missing(folder: Path, files: Mapping[str, str]) -> list[str]:
    """The files that a record names which lie neither in its folder nor among the shared ones."""
    return [name for name in sorted(files) if not os.path.isfile(place(folder, name, files[name]))]


def share(folders: Mapping[Path, Mapping[str, str]]) -> int:
    """Keep once what several records' folders hold alike; returns the bytes that this saves.

    `folders` maps each to the files that its record names. What is not as named stays where it is.
    Raises OSError when the disk refuses, UserError for links in the place of shared files: then
    nothing is lost, and the rest is done another time.
    """
    alike: dict[Path, list[Path]] = {}
    for folder, files in folders.items():
        for name, digest in files.items():
            if MODEL.fullmatch(name) and is_hash(digest) and (folder / name).is_file():
                target = folder.parent / SHARED / f"{digest}{Path(name).suffix}"
                alike.setdefault(target, []).append(folder / name)
    return sum(_keep_once(target, paths) for target, paths in alike.items())


def _keep_once(target: Path, paths: list[Path]) -> int:
    if target.parent.is_symlink():
        raise UserError(f"expected a folder of its own at {target.parent}, got a link")
    paths = [path for path in paths if not path.is_symlink() and file_hash(path) == target.stem]
    if not os.path.lexists(target) and len(paths) < 2:
        return 0
    if fresh := not os.path.lexists(target):
        target.parent.mkdir(exist_ok=True)
        write_whole(target, paths[0].read_bytes())
    require_plain(target)
    if file_hash(target) != target.stem:
        return 0
    saved = (len(paths) - fresh) * target.stat().st_size
    for path in paths:
        path.unlink()
    return saved
