"""What Slurm says of a sweep's jobs, with or without accounting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from robench.base.files import write_whole
from robench.run.sweeps import State

JOBS = "slurm.json"
"""The file in a sweep's folder that names the Slurm job of each part."""
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SUSPENDED")
RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "RESIZING", "PREEMPTED")
GONE = "gone from its queue: cancelled before it began, or ended minutes ago"
"""What is said of a job that Slurm no longer knows."""
SECONDS = 60
"""Slurm may take so long to answer."""


def keep_jobs(folder: Path, jobs: Mapping[str, str]) -> None:
    """Write down which Slurm job (5, or 5_0 of an array) each part of a sweep became."""
    write_whole(folder / JOBS, json.dumps({**kept_jobs(folder), **jobs}).encode())


def kept_jobs(folder: Path) -> dict[str, str]:
    """The Slurm job of each part of a sweep; empty where it ran elsewhere."""
    try:
        told = json.loads((folder / JOBS).read_text(encoding="utf-8"))
        return {str(part): str(job) for part, job in told.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def words_of(jobs: Mapping[str, str]) -> dict[str, str] | None:
    """Slurm's word for each part's job, such as PENDING or CANCELLED, or GONE.

    None where Slurm does not answer. Its queue is asked, which knows a job for some minutes after
    its end: accounting, which many clusters lack, is not needed.
    """
    if not jobs or shutil.which("squeue") is None:
        return None
    user = ["--user", str(os.getuid())]
    command = ["squeue", "--noheader", "--array", "--states", "all", "--format", "%i %T", *user]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    known = dict(line.split()[:2] for line in told.splitlines() if len(line.split()) > 1)
    return {part: known.get(job, GONE) for part, job in jobs.items()}


def cancel(jobs: Sequence[str]) -> bool:
    """Cancel jobs, those that wait and those that run; returns whether Slurm did."""
    try:
        subprocess.run(["scancel", *jobs], capture_output=True, check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def state_of(word: str) -> State:
    """What Slurm's word means for a job that left no note."""
    if word in WAITING:
        return "waiting"
    return "running" if word in RUNNING else "lost"


def states_in(folder: Path) -> dict[str, State]:
    """What Slurm knows of the parts of a sweep; empty where it ran elsewhere or none answers."""
    words = words_of(kept_jobs(folder)) or {}
    return {part: state_of(word) for part, word in words.items()}
