"""What Slurm says of a sweep's jobs, with or without accounting."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from robench.base.files import write_whole
from robench.cli.terminal import print_prose
from robench.run.sweeps import State

JOBS = "slurm.json"
"""The file in a sweep's folder that names the Slurm job of each part."""
WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SUSPENDED")
RUNNING = ("RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING", "STOPPED", "RESIZING", "PREEMPTED")
ORDINARY = (
    *("None", "Priority", "Resources", "Dependency", "BeginTime", "JobArrayTaskLimit", "Cleaning"),
)
"""Why jobs wait whose turn comes by itself."""
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

    Of one that waits for something out of the ordinary it says what, as in `PENDING
    PartitionConfig`: none of its partition's nodes has what was asked. None where Slurm does not
    answer. Its queue is asked, which knows a job for some minutes after its end: accounting, which
    many clusters lack, is not needed.
    """
    if not jobs or shutil.which("squeue") is None:
        return None
    user = ["--user", str(os.getuid())]
    command = ["squeue", "--noheader", "--array", "--states", "all", "--format", "%i %T %r", *user]
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (line.split(maxsplit=2) for line in told.splitlines())
    known = {line[0]: _word(*line[1:]) for line in lines if len(line) > 1}
    return {part: known.get(job, GONE) for part, job in jobs.items()}


def _word(state: str, reason: str = "None") -> str:
    return f"{state} {reason}" if state in WAITING and reason not in ORDINARY else state


def cancel(jobs: Sequence[str]) -> bool:
    """Cancel jobs, those that wait and those that run; returns whether Slurm did."""
    try:
        subprocess.run(["scancel", *jobs], capture_output=True, check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def state_of(word: str) -> State:
    """What Slurm's word means for a job that left no note."""
    state = word.partition(" ")[0]
    if state in WAITING:
        return "waiting"
    return "running" if state in RUNNING else "lost"


def held(words: Mapping[str, str]) -> list[str]:
    """What jobs wait for, but for their turn."""
    waits = (word.partition(" ")[2] for word in words.values() if state_of(word) == "waiting")
    return sorted({reason for reason in waits if reason})


def print_held(reasons: Sequence[str]) -> None:
    """Print what jobs wait for, where it is not their turn."""
    if reasons:
        print_prose(f"Slurm holds jobs back: {', '.join(reasons)}", "yellow")


def words_in(folder: Path) -> dict[str, str]:
    """Slurm's words for the parts of a sweep; empty where it ran elsewhere or none answers."""
    return words_of(kept_jobs(folder)) or {}


def states_of(words: Mapping[str, str]) -> dict[str, State]:
    """What words of Slurm mean."""
    return {part: state_of(word) for part, word in words.items()}
