"""Which files of which folders have been hashed before: so that nothing unchanged is read again."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from robench.collection.sealed import read_sealed, write_sealed
from robench.records.store import RECORD

SETTLED = 2.0
"""Seconds after its last change until a folder is known by what the disk says of it: within one
tick of the disk's clock a file may change twice."""


@dataclass(frozen=True)
class Seen:
    """A record's folder as the disk describes it, and what is known of such a folder."""

    folder: Path
    state: str
    """Digest of names, sizes, times and places of its files; empty where it may still change."""
    record: str
    """The same of its record.json."""
    digest: str = ""
    """SHA-256 of its record.json; empty where that is not known."""
    content: str = ""
    """SHA-256 of all its files, alike."""


def look(folders: Iterable[Path], known: Mapping[str, Seen]) -> list[Seen]:
    """What the disk says of folders, and what is known of them if it says the same as before."""
    latest = time.time() - SETTLED
    return [_known(_seen(folder, latest), known.get(str(folder))) for folder in folders]


def _known(seen: Seen, before: Seen | None) -> Seen:
    if before is None:
        return seen
    if seen.record and seen.record == before.record:
        seen = replace(seen, digest=before.digest)
    if seen.state and seen.state == before.state:
        seen = replace(seen, content=before.content)
    return seen


def _seen(folder: Path, latest: float) -> Seen:
    files: list[tuple[str, tuple[int, ...]]] = []
    newest = 0.0
    record = ""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                about = entry.stat(follow_symlinks=False)
                newest = max(newest, about.st_ctime, about.st_mtime)
                files.append((entry.name, _about(about)))
                settled = max(about.st_ctime, about.st_mtime) < latest
                if entry.name == RECORD and settled and stat.S_ISREG(about.st_mode):
                    record = _digest(_about(about))
    except OSError:
        return Seen(folder, "", "")
    return Seen(folder, _digest(sorted(files)) if newest < latest else "", record)


def _about(about: os.stat_result) -> tuple[int, ...]:
    return about.st_mode, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def read_known(path: Path) -> dict[str, Seen]:
    """What `write_known` wrote, by folder; nothing of a damaged file."""
    lines = read_sealed(path) or ()
    return {folder: Seen(Path(folder), *rest) for folder, *rest in lines}


def write_known(path: Path, every: Iterable[Seen]) -> None:
    """Write what is known of folders; raises OSError when the disk refuses."""
    write_sealed(
        path,
        [
            [str(one.folder), one.state, one.record, one.digest, one.content]
            for one in every
            if one.record
        ],
    )
