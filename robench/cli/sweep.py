"""Sweeps: each job leaves a note, so that any launcher's jobs can be summed up at the end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from robench.cli.terminal import console, styled, table


@dataclass(frozen=True)
class Job:
    """How one job of a sweep ended: a record's folder, or an error in one line."""

    number: int
    overrides: tuple[str, ...]
    record: str | None
    error: str | None


def leave_note(folder: Path, job: Job) -> None:
    """Write a job's end into the sweep's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"overrides": job.overrides, "record": job.record, "error": job.error})
    (folder / f"{job.number}.json").write_text(text, encoding="utf-8")


def read_notes(folder: Path) -> list[Job]:
    """All jobs of a sweep that ended, in their order."""
    jobs = []
    for path in folder.glob("*.json"):
        note = json.loads(path.read_text(encoding="utf-8"))
        overrides = tuple(note["overrides"])
        jobs.append(Job(int(path.stem), overrides, note["record"], note["error"]))
    return sorted(jobs, key=lambda job: job.number)


def print_jobs(jobs: list[Job]) -> None:
    """Print one line a job: its overrides and its record, or why it failed."""
    failed = sum(bool(job.error) for job in jobs)
    shown = table("job", "what", "record or error", title=f"{len(jobs)} jobs, {failed} failed")
    for job in jobs:
        failure = styled(f"failed: {job.error}", "red") if job.error else None
        end = failure or styled(job.record or "planned, not run")
        shown.add_row(str(job.number), " ".join(job.overrides), end)
    console().print(shown)


class Summary(Callback):
    """Remembers where a sweep's notes are; the command line reads them when Hydra is done."""

    last: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the launching process, before the first job."""
        del kwargs
        Summary.last = Path(config.hydra.sweep.dir)
