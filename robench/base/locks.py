"""Locks of files, between processes and between the machines that share a folder."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock

from robench.base.errors import CacheError

MOUNTS = Path("/proc/self/mountinfo")
UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that the file at `path` stands for; waits for who holds it.

    It ends with the process that holds it, however that ends; the file stays. Raises CacheError
    where the file system has no locks.
    """
    lock = FileLock(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the fallback that is refused below
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in UNSUPPORTED:
            raise
        raise _without_locks(path.parent) from error
    try:
        # One by the mere presence of a file outlives its holder: nobody would go on after a kill.
        if isinstance(lock, SoftFileLock):
            raise _without_locks(path.parent)
        yield
    finally:
        lock.release()


def require_shared_locks(folder: Path) -> None:
    """Raise CacheError for a folder whose file system keeps the locks of each machine apart.

    Two machines would then write in one place. Known are Lustre, NFS and BeeGFS by how they are
    mounted; what is not known is trusted.
    """
    kind, options = _mount_of(folder)
    lustre = kind == "lustre" and not _any(options, "flock")
    nfs = kind.startswith("nfs") and _any(
        options, "nolock", "local_lock=all", "local_lock=flock", "local_lock=posix"
    )
    if lustre or nfs or (kind == "beegfs" and not _beegfs_shares()):
        how = {"lustre": "-o flock", "beegfs": "tuneUseGlobalFileLocks = true"}
        raise CacheError(
            f"expected a file system whose locks hold across machines, got {kind} at {folder} "
            f"mounted without; mount it with {how.get(kind, '-o local_lock=none')}, or set cache= "
            "and results= to another one"
        )


def _without_locks(folder: Path) -> CacheError:
    return CacheError(
        f"expected a file system with locks of files, got one without at {folder}; mount it with "
        "them (Lustre: -o flock), or set cache= and results= to another one"
    )


def _any(options: set[str], *wanted: str) -> bool:
    return bool(options & set(wanted))


def _mount_of(folder: Path) -> tuple[str, set[str]]:
    """The kind of file system that a folder lies on, and its options; empty where unknown."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "", set()
    best, found = -1, ("", set[str]())
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, (kind, _, above) = before.split(), [*after.split(), "", "", ""][:3]
        place = Path(fields[4].replace("\\040", " "))
        if folder.resolve().is_relative_to(place) and len(place.parts) >= best:
            best = len(place.parts)
            found = kind, {*fields[5].split(","), *above.split(",")}
    return found


def _beegfs_shares() -> bool:
    configs = list(Path("/proc/fs/beegfs").glob("*/config"))
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in configs)
    return bool(configs) and all("tuneUseGlobalFileLocks = 1" in text for text in texts)
