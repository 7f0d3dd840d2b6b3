"""Locks that hold, or a refusal that says what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from filelock import FileLock

from robench.base import locks
from robench.base.errors import CacheError, refusal_of
from robench.base.files import write_whole


@pytest.mark.parametrize("raised", [OSError(errno.ENOSYS, "no"), NotImplementedError()])
def test_a_file_system_without_locks_is_refused(
    raised: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acquire(self: FileLock) -> None:
        raise raised

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with (
        pytest.raises(CacheError, match="expected a file system with locks"),
        locks.locked(tmp_path / "lock"),
    ):
        pass


def test_a_lock_by_the_presence_of_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What filelock falls back to where flock is missing: it would outlive its holder."""
    import fcntl

    def flock(fd: int, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(CacheError, match="expected a file system with locks"),
        locks.locked(tmp_path / "lock"),
    ):
        pass


MOUNT = "36 35 98:0 / {place} rw,noatime shared:1 - {kind} source rw,{options}\n"


@pytest.mark.parametrize(
    ("kind", "options", "holds"),
    [
        ("lustre", "flock,lazystatfs", True),
        ("lustre", "localflock", False),
        ("lustre", "lazystatfs", False),
        ("nfs4", "vers=4.2,local_lock=none", True),
        ("nfs", "vers=3,nolock,local_lock=all", False),
        ("beegfs", "cfgFile=/etc/beegfs", False),
        ("ext4", "errors=remount-ro", True),
        ("gpfs", "", True),
    ],
)
def test_locks_that_each_machine_keeps_for_itself_are_known_by_the_mount(
    kind: str, options: str, holds: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    mounts = tmp_path / "mounts"
    mounts.write_text(
        MOUNT.format(place="/", kind="lustre", options="localflock")
        + MOUNT.format(place=shared, kind=kind, options=options)
    )
    monkeypatch.setattr(locks, "MOUNTS", mounts)
    if holds:
        locks.require_shared_locks(shared / "cache")
    else:
        with pytest.raises(CacheError, match=f"got {kind} at .* mounted without; mount it with"):
            locks.require_shared_locks(shared / "cache")


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (RuntimeError("Error: I/O error: No space left on device (os error 28)"), True),
        (ValueError("IOError: Error writing bytes. Detail: [errno 5] Input/output error"), True),
        (RuntimeError("shapes differ: 28"), False),
        (FileNotFoundError(errno.ENOENT, "gone"), False),
        (KeyError("errno"), False),
    ],
)
def test_a_disk_that_refuses_is_known_whatever_library_says_so(
    error: Exception, refused: bool
) -> None:
    assert bool(refusal_of(error)) is refused
    outer = RuntimeError("the writer failed")
    outer.__cause__ = error
    assert bool(refusal_of(outer)) is refused


def test_a_file_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note"
    write_whole(path, b"first")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"second")
    assert path.read_text() == "first"
    assert [one.name for one in tmp_path.iterdir()] == ["note"]
