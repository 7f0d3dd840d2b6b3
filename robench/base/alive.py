"""Signs of life in a shared folder: whether who works there still does, told from any machine.

The worker touches a file now and then. Its age is taken by the clock of the file system, so that
machines whose clocks differ agree; on the worker's own machine its process is asked instead.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from robench.base.errors import UserError
from robench.base.files import read_plain, write_whole
from robench.base.text import one_line

SECONDS_BETWEEN = 20.0
"""Between two touches."""
SECONDS_ALIVE = 180.0
"""The age of a sign of life from which on its process is taken for dead."""
MAX_BYTES = 2**16


@contextmanager
def sign_of_life(path: Path) -> Iterator[None]:
    """Keep a file that says who works here, and that they still do; it is gone afterwards.

    What kills the process leaves the file. Raises OSError where it cannot be written.
    """
    write_whole(path, json.dumps(_myself()).encode())
    ended = threading.Event()
    thread = threading.Thread(target=_touch, args=(path, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        path.unlink(missing_ok=True)


def alive(path: Path) -> bool | None:
    """Whether who left this sign of life still works; None where none was left."""
    try:
        told = json.loads(read_plain(path, MAX_BYTES))
        touched = path.stat().st_mtime
    except (OSError, UserError, ValueError, RecursionError):
        return None
    here = _machine()
    if here and isinstance(told, dict) and told.get("machine") == here:
        started = _started(told.get("pid"))
        return started is not None and started == told.get("started")
    return abs(now_in(path.parent) - touched) < SECONDS_ALIVE


def who(path: Path) -> str:
    """The host and process of a sign of life, in words; empty where none was left."""
    try:
        told = json.loads(read_plain(path, MAX_BYTES))
        return f"process {int(told['pid'])} on {one_line(told['host'])}"
    except (OSError, UserError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return ""


def now_in(folder: Path) -> float:
    """The time by the clock that stamps the files of a folder, in seconds since the epoch.

    By this machine's own clock where the folder cannot be written.
    """
    probe = folder / f".{uuid.uuid4().hex}.now"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _touch(path: Path, ended: threading.Event) -> None:
    while not ended.wait(SECONDS_BETWEEN):
        with suppress(OSError):  # a file system that is away for a while comes back
            os.utime(path)


def _myself() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": pid,
        "started": _started(pid),
    }


def _machine() -> str:
    """This boot of the machine and its numbering of processes: a container has its own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        # No other process can be asked then, this one least of all.
        return ""


def _started(pid: Any) -> str | None:
    """When a process of this machine started, in its kernel's words; None where it is gone."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_text(encoding="utf-8")
    except (OSError, ValueError, TypeError, OverflowError):
        return None
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] in "ZX" else after_name[19]
