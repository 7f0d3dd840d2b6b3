"""What a sweep prints: how it stands with its jobs, or what they would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from robench.base.grid import grid
from robench.base.text import counted
from robench.cli.formats import print_json
from robench.cli.terminal import print_prose, print_text, width
from robench.records.overview import over_seeds, readable
from robench.run.sweeps import STATES, Standing, State

ROBUST = "robust: the headline, and what its word says of it, under the threat where it is smallest"

if TYPE_CHECKING:
    from robench.cli.jobs import Foreseen


def print_standings(found: Sequence[Standing], trainings: Sequence[State] = ()) -> None:
    """Print a line a system with mean and spread over its seeds, and what is not done, and why."""
    count = Counter(one.state for one in found)
    others = [f", {count[state]} {state}" for state in (*STATES[2:], "done") if count[state]]
    print_text(f"{counted(len(found), 'job')}, {count['failed']} failed{''.join(others)}", "bold")
    if count["waiting"] and trainings:
        first = Counter(trainings)
        told = ", ".join(f"{first[state]} {state}" for state in STATES if first[state])
        print_prose(f"trainings that several jobs wait for: {told}")
    readables, broken = readable(dict.fromkeys(one.record for one in found if one.record))
    for text in broken:
        print_prose(f"left out: {text}", "yellow")
    if readables:
        done = over_seeds(readables)
        _print_rows(done.columns, [[str(cell or "") for cell in row] for row in done.rows])
        print_prose(
            f"{ROBUST}; ± over seeds",
            "dim",
        )
    for state, style in (("running", ""), ("lost", "red"), ("failed", "red")):
        for one in (one for one in found if one.state == state):
            why = f": {one.why}" if one.why else ""
            print_prose(f"{state}: {' '.join(one.overrides)}{why}", style)


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
    also = f", and {counted(missing, 'run')} of which nothing is known" if missing else ""
    return f"{took} by earlier runs of the same choices{also}"


def print_foreseen(jobs: Sequence[Foreseen], *, json: bool) -> None:
    """Print what the jobs of a sweep would do, and what is refused."""
    plans = [job.plan for job in jobs if job.plan]
    if json:
        print_json(plans)
        return
    failed = [job for job in jobs if job.error]
    print_text(f"{counted(len(jobs), 'job')}, {len(failed)} failed", "bold")
    if plans:
        heads = ("job", "trained", "record")
        _print_rows(heads, [_planned(job.overrides, job.plan) for job in jobs if job.plan])
        print_prose(f"planned, not run: {_time(plans)}")
    for job in failed:
        print_prose(f"failed: {' '.join(job.overrides)}: {job.error}", "red")


def _planned(overrides: Sequence[str], plan: dict[str, Any]) -> list[str]:
    train = next(step["cached"] for step in plan["steps"] if step["name"] == "train")
    return [" ".join(overrides), _cached(train), "there" if plan["done"] else plan["id"]]


def _print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for number, line in enumerate(grid(heads, rows, width())):
        print_text(line, "" if number else "bold")
