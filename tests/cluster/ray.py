"""A head of Ray on this machine, started as its user would."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


def reason_to_skip() -> str:
    """Why no Ray can be started here; empty where one can."""
    missing = find_spec("ray") is None or not _command().exists()
    return "needs pip install 'robench[ray]'" if missing else ""


@contextmanager
def running(root: Path, cpus: int = 2) -> Iterator[tuple[str, dict[str, str]]]:
    """Start a head; yields its address and the environment of its clients, and ends it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    env = {**os.environ, "RAY_TMPDIR": str(_short(root)), "RAY_DISABLE_IMPORT_WARNING": "1"}
    # Else it would ask for a token where an instance before has left one in the home folder.
    env["RAY_AUTH_MODE"] = "disabled"
    head = [str(_command()), "start", "--head", "--block", f"--port={port}"]
    head += [f"--num-cpus={cpus}", "--include-dashboard=false", "--disable-usage-stats"]
    head += ["--node-ip-address=127.0.0.1", f"--temp-dir={_short(root)}"]
    with (root / "out").open("wb") as out:
        process = subprocess.Popen(head, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        _wait(port, process, root / "out")
        yield f"127.0.0.1:{port}", env
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)
        shutil.rmtree(_short(root), ignore_errors=True)


def _short(root: Path) -> Path:
    """Ray's sockets need a short path."""
    return Path("/tmp") / f"ray-{abs(hash(str(root))) % 10**8}"


def _wait(port: int, process: subprocess.Popen[bytes], out: Path) -> None:
    import time

    end = time.monotonic() + 300
    while time.monotonic() < end:
        if "Ray runtime started" in out.read_text(errors="replace"):
            return
        if process.poll() is not None:
            break
        time.sleep(0.5)
    raise RuntimeError(f"ray did not start: {out.read_text(errors='replace')[-2000:]}")


def _command() -> Path:
    return Path(sys.executable).with_name("ray")
