"""Which files of which folders have been hashed before: so that nothing unchanged is read again."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from robench.base.files import folders_with
from robench.collection.sealed import read_sealed, write_sealed
from robench.records.store import RECORD

MAX_FOLDERS = 12
"""Folders inside each other, from a root down to a record."""
SETTLED = 2.0
"""Seconds after its last change until a folder is known by what the disk says of it: within one
tick of the disk's clock a file may change twice."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A record's folder as the disk describes it, and what is known of such a folder."""

    folder: Path
    state: str
    """Digest of names, sizes, times and places of its files; empty where it may still change."""
    record: str
    """The same of its record.json, in words."""
    digest: str = ""
    """SHA-256 of its record.json; empty where that is not known."""
    content: str = ""
    """SHA-256 of all its files, alike."""


Known = Sequence[str]
"""State, record, digest and content of a folder, as `Seen` has them."""


def scan(root: Path, deep: int = MAX_FOLDERS) -> Iterator[Seen]:
    """What the disk says of every folder below `root` (itself included) that holds a record.

    At most so deep; a folder that cannot be read is among them. In no order.
    """
    latest = _settled()
    for folder, entries in folders_with(root, RECORD, deep):
        yield _seen(folder, entries, latest)


def look(folders: Iterable[Path]) -> Iterator[Seen]:
    """What the disk says of folders."""
    latest = _settled()
    for folder in folders:
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError), os.scandir(folder) as found:
            entries = list(found)
        yield _seen(folder, entries, latest)


def stands(seen: Seen) -> bool:
    """Whether the disk says the same of a folder as when it was seen, and would say of a change."""
    return bool(seen.state) and next(look([seen.folder])).state == seen.state


def with_known(seen: Seen, known: Mapping[str, Known]) -> Seen:
    """A folder with what is known of it, by folder, if the disk says the same as before."""
    before = known.get(str(seen.folder))
    if before is None:
        return seen
    state, record, digest, content = before
    return Seen(
        seen.folder,
        seen.state,
        seen.record,
        digest if seen.record and seen.record == record else seen.digest,
        content if seen.state and seen.state == state else seen.content,
    )


def _settled() -> int:
    """The latest time, in nanoseconds, at which what changed last is known by it."""
    return time.time_ns() - int(SETTLED * 1e9)


def _seen(folder: Path, entries: Iterable[os.DirEntry[str]], latest: int) -> Seen:
    files, newest, record = [], 0, ""
    try:
        for entry in entries:
            about = entry.stat(follow_symlinks=False)
            modified, changed = about.st_mtime_ns, about.st_ctime_ns
            last = modified if modified > changed else changed
            newest = last if last > newest else newest
            its = f"{about.st_mode} {about.st_ino} {about.st_size} {modified} {changed}"
            files.append(f"{entry.name}/{its}")
            if entry.name == RECORD and stat.S_ISREG(about.st_mode) and last < latest:
                record = its
    except OSError:
        return Seen(folder, "", "")
    settled = files and newest < latest
    return Seen(folder, _digest(sorted(files)) if settled else "", record)


def _digest(files: Iterable[str]) -> str:
    # No name of a file holds a slash.
    return hashlib.sha256(os.fsencode("/".join(files))).hexdigest()


def read_known(path: Path) -> dict[str, Known]:
    """What `write_known` wrote, by folder; nothing of a damaged file."""
    return {folder: rest for folder, *rest in read_sealed(path) or ()}


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
