"""Run a command beside a server of MLflow that lives as long as it does.

    python tools/mlflow_server.py MLFLOW COMMAND ...

MLFLOW is the program of that name. The server keeps all in a folder that is deleted with it; the
command finds its address in TEST_MLFLOW_SERVER.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PATIENCE = 120
"""Seconds until the server has to answer."""


def main() -> int:
    """The command's exit status."""
    mlflow, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        address = f"http://127.0.0.1:{port}"
        log = Path(folder) / "log"
        server = subprocess.Popen(
            [mlflow, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/runs.db",
             "--artifacts-destination", f"{folder}/artifacts"],
            stdout=log.open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            answered(server, address, log)
            return subprocess.run(
                command, env={**os.environ, "TEST_MLFLOW_SERVER": address}, check=False
            ).returncode
        finally:
            os.killpg(server.pid, 15)
            server.wait()


def answered(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Wait for the server's first answer; SystemExit with what it said where there is none."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"expected a server at {address}, got:\n{log.read_text()[-2000:]}")


if __name__ == "__main__":
    raise SystemExit(main())
