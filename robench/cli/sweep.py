"""Sweeps: each job leaves a note, so that any launcher's jobs can be summed up at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from robench.base.grid import grid
from robench.cli.formats import print_json
from robench.cli.terminal import print_prose, print_text, width
from robench.records.overview import over_seeds, readable


@dataclass(frozen=True)
class Job:
    """How one job of a sweep ended: a record's folder, a plan, or an error in one line."""

    overrides: tuple[str, ...]
    record: str | None = None
    plan: dict[str, Any] | None = None
    error: str | None = None


def leave_note(folder: Path, number: int, job: Job) -> None:
    """Write a job's end into the sweep's folder; where files lie is not kept."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = job.plan and {name: said for name, said in job.plan.items() if name != "places"}
    text = json.dumps({**vars(job), "plan": plan}, default=str)
    (folder / f"{number}.json").write_text(text, encoding="utf-8")


def read_notes(folder: Path) -> list[Job]:
    """All jobs of a sweep that ended, in their order."""
    paths = sorted(folder.glob("*.json"), key=lambda path: int(path.stem))
    notes = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [Job(**{**note, "overrides": tuple(note["overrides"])}) for note in notes]


def print_plan(plan: dict[str, Any], *, json: bool) -> None:
    """Print what a run would do: its steps, what is cached, and how long the like of it took."""
    if json:
        print_json(plan)
        return
    rows = [[step["name"], step["what"], _cached(step["cached"])] for step in plan["steps"]]
    for name, what, cached in rows:
        print_prose(f"{name:<8}{what}{f' ({cached})' if cached else ''}")
    there = "its record is there already: " if plan["done"] else ""
    print_prose(f"{there}{plan['places']['results']}/{plan['id']}")
    print_prose(_time([plan]))


def _cached(cached: bool | None) -> str:
    return {True: "cached", False: "to be made", None: ""}[cached]


def _time(plans: Sequence[dict[str, Any]]) -> str:
    """How long plans take, by what earlier runs of the same choices took."""
    open_ = [plan for plan in plans if not plan["done"]]
    known = [plan["seconds"] for plan in open_ if plan["seconds"] is not None]
    if not open_:
        return "nothing is left to be computed but what is printed"
    if not known:
        return "no earlier run of the same choices in the results: no estimate of the time"
    minutes = sum(known) / 60
    took = f"about {minutes:.0f} minutes" if minutes >= 1.5 else f"about {60 * minutes:.0f} s"
    missing = len(open_) - len(known)
    also = f", and {missing} runs of which nothing is known" if missing else ""
    return f"{took} by earlier runs of the same choices{also}"


def print_jobs(jobs: list[Job], *, json: bool) -> None:
    """Print a line a system with mean and spread over its seeds, the plans, and what failed."""
    failed = [job for job in jobs if job.error]
    plans = [job.plan for job in jobs if job.plan]
    if json:
        if plans:
            print_json(plans)
        return
    print_text(f"{len(jobs)} jobs, {len(failed)} failed", "bold")
    folders = dict.fromkeys(job.record for job in jobs if job.record)
    found, broken = readable(map(Path, folders))
    for one in broken:
        print_prose(f"left out: {one}", "yellow")
    if found:
        done = over_seeds(record for _, record in found)
        _print_rows(done.columns, [[str(cell or "") for cell in row] for row in done.rows])
        print_prose("robust: the smallest of worst case and audited accuracy; ± over seeds", "dim")
    if plans:
        heads = ("job", "trained", "record")
        _print_rows(heads, [_planned(job) for job in jobs if job.plan])
        print_prose(f"planned, not run: {_time(plans)}")
    for job in failed:
        print_prose(f"failed: {' '.join(job.overrides)}: {job.error}", "red")


def _planned(job: Job) -> list[str]:
    assert job.plan is not None
    train = next(step["cached"] for step in job.plan["steps"] if step["name"] == "train")
    return [
        " ".join(job.overrides),
        _cached(train),
        "there" if job.plan["done"] else job.plan["id"],
    ]


def _print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for number, line in enumerate(grid(heads, rows, width())):
        print_text(line, "" if number else "bold")


class Summary(Callback):
    """Remembers where a sweep's notes are; the command line reads them when Hydra is done."""

    last: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra in the launching process, before the first job."""
        del kwargs
        Summary.last = Path(config.hydra.sweep.dir)
