"""kill -9 at random points of a sweep, then the same command again: the same records."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SWEEP = [
    "run",
    "-m",
    "defense=none,gaussian_training",
    "attack=[fgsm,pgd]",
    "attack.pgd.steps=5",
    "train.epochs=4",
    "images=60",
    "threads=1",
]


def start(root: Path) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "ROBENCH_RESULTS": str(root / "results"),
        "ROBENCH_CACHE": str(root / "cache"),
    }
    command = [sys.executable, "-m", "robench", *SWEEP]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, env=env, start_new_session=True, **quiet)


def records(root: Path) -> dict[str, object]:
    """Every record without its timings, by id."""
    found = {}
    for path in (root / "results").glob("*/record.json"):
        record = json.loads(path.read_text())
        del record["timings"]
        for part in (*record["rows"], *record["audit"]):
            del part["seconds"]
        found[path.parent.name] = record
    return found


@pytest.mark.slow
def test_a_killed_sweep_started_again_gives_the_same_records(tmp_path: Path) -> None:
    begin = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    whole_run = time.monotonic() - begin
    expected = records(tmp_path / "whole")
    assert len(expected) == 2

    moments = random.Random(0)
    for _ in range(6):
        job = start(tmp_path / "killed")
        time.sleep(moments.uniform(0.1, 1.0) * whole_run)
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        half_written = [p for p in (tmp_path / "killed").glob("results/*/") if p.name in expected]
        assert all((p / "record.json").is_file() for p in half_written)
    assert start(tmp_path / "killed").wait() == 0
    assert records(tmp_path / "killed") == expected
