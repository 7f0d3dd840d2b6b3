"""A page's folder, of which only what changed is made and written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from robench.base.files import work_beside
from robench.base.hashing import digest
from robench.base.leftovers import sweep_leftovers
from robench.collection.code import all_code
from robench.collection.sealed import read_sealed, write_sealed

Files = dict[str, list[int]]
"""By path below the page, size and time of its last change."""


class Changed:
    """What goes into a page, part by part; nothing of the page moves before `finish`.

    `notes` is a file that says what the parts were made of when they were last written.
    """

    def __init__(self, out: Path, notes: Path) -> None:
        self._out, self._notes = out, notes
        self._work = work_beside(out)
        self._before: dict[str, tuple[str, Files]] = read_sealed(notes) or {}
        self._parts: dict[str, tuple[str, list[str]]] = {}
        sweep_leftovers(out.parent, f".{out.name}.")

    def stands(self, part: str, inputs: Any) -> list[str] | None:
        """The paths of a part whose files are there and were made of these inputs, else None."""
        made_of, files = self._before.get(part, ("", {}))
        if made_of != _made_of(inputs) or any(_about(self._out / p) != files[p] for p in files):
            return None
        self._parts[part] = made_of, list(files)
        return list(files)

    def put(self, part: str, inputs: Any, files: Iterable[tuple[str, str | bytes]]) -> list[str]:
        """Keep a part's files, path and content, for `finish`; returns their paths."""
        paths = []
        for path, content in files:
            data = content.encode("utf-8") if isinstance(content, str) else content
            paths.append(path)
            if _bytes(self._out / path) != data:
                (self._work / path).parent.mkdir(parents=True, exist_ok=True)
                (self._work / path).write_bytes(data)
        self._parts[part] = _made_of(inputs), paths
        return paths

    def finish(self) -> None:
        """Move what is new into the page and delete what no part of it is."""
        wanted = {path for _, paths in self._parts.values() for path in paths}
        if not self._out.exists() or not any(self._out.iterdir()):
            # A first page is there whole or not at all: half of one would be no page to replace.
            self._out.parent.mkdir(parents=True, exist_ok=True)
            self._work.replace(self._out)
        for path in wanted:
            if (self._work / path).is_file():
                (self._out / path).parent.mkdir(parents=True, exist_ok=True)
                (self._work / path).replace(self._out / path)
        for folder, _, names in os.walk(self._out, topdown=False):
            here = Path(folder)
            for name in names:
                if (here / name).relative_to(self._out).as_posix() not in wanted:
                    (here / name).unlink()
            if here != self._out and not any(here.iterdir()):
                here.rmdir()
        notes = {
            part: (made_of, {path: _about(self._out / path) for path in paths})
            for part, (made_of, paths) in self._parts.items()
        }
        with suppress(OSError):  # a full disk: all is made again next time
            write_sealed(self._notes, notes)

    def close(self) -> None:
        """Leave nothing behind of what did not come into the page."""
        shutil.rmtree(self._work, ignore_errors=True)


def _made_of(inputs: Any) -> str:
    return digest([all_code(), inputs])


def _about(path: Path) -> list[int]:
    try:
        about = path.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
