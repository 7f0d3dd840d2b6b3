"""Results of expensive steps on disk: checked when read, made once, never half-written."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from robench.base.alive import now_in
from robench.base.errors import CacheError, UserError, debugging, refusal_of
from robench.base.files import require_writable, settle
from robench.base.hashing import digest, file_hash
from robench.base.locks import locked
from robench.base.text import one_line
from robench.run import shards
from robench.run.versions import STEPS

T = TypeVar("T")

MANIFEST = "manifest.json"
NAMED = ("dataset", "model", "defense", "attack", "metric")
"""Inputs by which people know a result, lists where there are several."""
SECONDS_WORTH = 2.0
"""What took longer to make is brought down to the disk at once, which takes milliseconds a file."""
KEPT = ".checkpoint"
"""How the names of files end that a writer finds again after it was killed."""


@dataclass(frozen=True)
class Entry:
    """One cached result, for `robench cache list`."""

    step: str
    key: str
    folder: Path
    nbytes: int
    used: float
    """Seconds since the epoch when it was last read."""


@dataclass(frozen=True)
class Cache:
    """A folder of step results, each under the hash of everything it depends on."""

    root: Path

    def fetch(
        self,
        step: str,
        inputs: Mapping[str, Any],
        make: Callable[[Path], None],
        read: Callable[[Path], T],
    ) -> T:
        """Return `read(folder)` of a step's result; `make(folder)` writes it when it is missing.

        A file lock lets one process make it while others wait. `make` may keep checkpoints,
        `*.checkpoint`, in the folder it is given: after a crash it finds them there again, and
        nothing else. A result whose files do not match their SHA-256 is made again; of files in
        shards, `shards.intact` says what is looked at, and whole ones stay. One that is there is
        read from a root that cannot be written, too. Raises UserError when the root is no folder to
        write into, CacheError when the disk refuses.
        """
        folder = self._folder(step, inputs)
        try:
            if not _intact(folder):
                self._make(step, inputs, folder, make)
            with suppress(OSError):
                os.utime(folder / MANIFEST)
            return read(folder)
        except UserError:
            raise
        except Exception as error:
            refused = refusal_of(error)
            if not refused or debugging():
                raise
            raise CacheError(
                f"expected to write the cache below {self.root}, got: {refused}; "
                "free some space or set cache= to another folder"
            ) from error

    def check(self) -> list[Entry]:
        """Hash every file of every result; those that are torn, which the next run makes again."""
        torn = [entry for entry in self.entries() if not _intact(entry.folder, thorough=True)]
        for entry in torn:
            with locked(_lock_of(entry.folder)):
                (entry.folder / MANIFEST).unlink(missing_ok=True)
        return torn

    def holds(self, step: str, inputs: Mapping[str, Any]) -> bool:
        """Whether the result of a step with these inputs is here, intact."""
        return _intact(self._folder(step, inputs))

    def key(self, step: str, inputs: Mapping[str, Any]) -> str:
        """The hash under which a step with these inputs is kept: its name, version and inputs."""
        return digest({"step": step, "version": STEPS[step], **inputs})

    def _folder(self, step: str, inputs: Mapping[str, Any]) -> Path:
        key = self.key(step, inputs)
        return self.root / step / key[:2] / key

    def entries(self) -> Iterator[Entry]:
        """All finished results, in order of step and key."""
        for manifest in sorted(self.root.glob(f"*/*/*/{MANIFEST}")):
            folder = manifest.parent
            size = sum(path.stat().st_size for path in folder.iterdir())
            used = manifest.stat().st_mtime
            yield Entry(folder.parent.parent.name, folder.name, folder, size, used)

    def of(self, step: str, key: str) -> str:
        """What a result was made of, in words: the components that its inputs name."""
        try:
            manifest = self.root / step / key[:2] / key / MANIFEST
            inputs = json.loads(manifest.read_text(encoding="utf-8"))["inputs"]
            parts = (
                inputs.get(name) for name in ("dataset", "model", "defense", "attack", "metric")
            )
            return " ".join(_component(part) for part in parts if part)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return ""

    def unread(self, older_than: float = 0.0) -> list[Entry]:
        """What was not read or written for `older_than` seconds, in order.

        That is results, and what is left of those whose making failed.
        """
        limit = now_in(self.root) - older_than
        return [one for one in (*self.entries(), *self._unfinished()) if one.used <= limit]

    def delete(self, entries: Iterable[Entry]) -> None:
        """Delete results, and what is left of failed ones; what is gone already is no error."""
        for entry in entries:
            with locked(_lock_of(entry.folder)):
                with suppress(FileNotFoundError):
                    shutil.rmtree(entry.folder)
                _lock_of(entry.folder).unlink(missing_ok=True)

    def _unfinished(self) -> Iterator[Entry]:
        """What is left of results whose making failed, or that are being made."""
        for folder in sorted(self.root.glob("*/*/*.partial")):
            about = [path.stat() for path in (folder, *folder.iterdir())]
            size, used = sum(a.st_blocks * 512 for a in about[1:]), max(a.st_mtime for a in about)
            yield Entry(folder.parent.parent.name, folder.stem, folder, size, used)

    def _make(
        self,
        step: str,
        inputs: Mapping[str, Any],
        folder: Path,
        make: Callable[[Path], None],
    ) -> None:
        require_writable(self.root, "cache=")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(_lock_of(folder)):
            if _intact(folder):
                return
            work = folder.with_suffix(".partial")
            work.mkdir(exist_ok=True)
            for path in shards.files_of(folder):
                path.replace(work / f"{path.name}{KEPT}")
            shutil.rmtree(folder, ignore_errors=True)
            # What another writer did not finish is nothing to seal.
            for path in [path for path in work.iterdir() if path.suffix != KEPT]:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            begun = time.monotonic()
            make(work)
            _seal(work, step, inputs)
            # A power cut may undo what is not settled, which is then found out and made again.
            settled = time.monotonic() - begun > SECONDS_WORTH
            if settled:
                for path in (*work.iterdir(), work):
                    settle(path)
            work.rename(folder)
            if settled:
                settle(folder.parent)


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


def _component(part: Any) -> str:
    """The registered name in a component's key, without its distribution and kind."""
    if isinstance(part, list):
        return "+".join(map(_component, part))
    name = part["component"] if isinstance(part, dict) else str(part)
    return one_line(name.rpartition("/")[2])


def _seal(folder: Path, step: str, inputs: Mapping[str, Any]) -> None:
    left_out = {MANIFEST, *(path.name for path in shards.indexed(folder))}
    sums = {p.name: file_hash(p) for p in sorted(folder.iterdir()) if p.name not in left_out}
    text = json.dumps({"step": step, "inputs": inputs, "sha256": sums}, default=str, indent=1)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _intact(folder: Path, thorough: bool = False) -> bool:
    try:
        sums = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        return all(file_hash(folder / name) == value for name, value in sums.items()) and all(
            shards.intact(path, thorough) for path in shards.indexed(folder)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
