"""A sweep's folder: its plan, a note of how each job ended, signs of life; and what they tell.

    plan.json           what was asked: jobs, the ids of their records, the trainings they share
    sweep.alive         the sweep itself is at work
    N.alive             job N is at work
    N.json              how job N ended: its record, or why there is none
    N.lost              why job N ended without a word of its own
    trainings/...       the same of the trainings that several jobs wait for

Everything is written whole, so that the folder can be read at any time, from any machine.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from robench.base.alive import alive, sign_of_life, who
from robench.base.errors import UserError
from robench.base.files import read_plain, require_plain, write_whole
from robench.base.hashing import file_hash
from robench.base.leftovers import sweep_leftovers
from robench.base.locks import locked
from robench.base.text import one_line
from robench.records.store import RECORD

PLAN, SWEEP, TRAININGS = "plan.json", "sweep", "trainings"
VERSION = 1
MAX_BYTES, MAX_LINE = 64 * 2**20, 2**16
NAME = re.compile(r"[A-Za-z0-9_-]{0,100}")
"""Ids of records, which are names of folders; none of a job that is refused."""

State = Literal["done", "running", "waiting", "failed", "lost"]
STATES: tuple[State, ...] = ("done", "failed", "lost", "running", "waiting")


@dataclass(frozen=True)
class Asked:
    """One job of a plan."""

    overrides: tuple[str, ...]
    """What was typed for it, where files lie left out."""
    id: str = ""
    """Its record's id; empty where robench refuses the job."""
    needs: tuple[str, ...] = ()
    """The trainings that it shares with other jobs, by their hash."""
    refused: str = ""
    """Why it is not run."""
    before: str = ""
    """SHA-256 of the record.json that is to be made anew; empty where none was there."""
    there: bool = False
    """Whether its record was there, whole and current, when the sweep began."""


@dataclass(frozen=True)
class Plan:
    """All that a sweep was asked for, settled before its first job."""

    results: str
    """The folder of its records, seen from the sweep's own."""
    jobs: tuple[Asked, ...]
    trainings: tuple[str, ...] = ()
    """The trainings that several of its jobs share and that were not there, by their hash."""


@dataclass(frozen=True)
class End:
    """How a job ended: with a record, or with an error in one line."""

    overrides: tuple[str, ...]
    record: str | None = None
    """The record's id."""
    error: str | None = None


@dataclass(frozen=True)
class Standing:
    """How it stands with one job."""

    number: int
    overrides: tuple[str, ...]
    state: State
    why: str = ""
    record: Path | None = None
    """The folder of the record of a job that is done."""


# -- writing ---------------------------------------------------------------------------------------


@contextmanager
def begun(folder: Path, plan: Plan) -> Iterator[None]:
    """Settle a sweep's plan in its folder, and show that it is at work there.

    A plan that is there already is gone on with. Raises UserError where a sweep is at work there,
    or was asked for other jobs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as working:
        # Of two that begin at once the second finds the first at work.
        with locked(folder / f"{SWEEP}.lock"):
            _settle(folder, plan)
            working.enter_context(at_work(folder, SWEEP))
        yield


def _settle(folder: Path, plan: Plan) -> None:
    sign = folder / f"{SWEEP}.alive"
    other = "set hydra.sweep.dir to another folder, or leave it out"
    if alive(sign):
        raise UserError(
            f"expected a folder where no sweep is at work, got {folder} with {who(sign)}; {other}"
        )
    with suppress(FileNotFoundError):
        before = read_plan(folder)
        if _asked(before) != _asked(plan):
            raise UserError(
                f"expected the plan of the same sweep in {folder}, got one of other jobs; {other}"
            )
    sweep_leftovers(folder)
    for number in range(len(plan.jobs)):
        _forget(folder / str(number))
    write_whole(folder / PLAN, json.dumps({"version": VERSION, **asdict(plan)}).encode())


def _asked(plan: Plan) -> list[tuple[object, ...]]:
    return [(job.overrides, job.id, bool(job.refused)) for job in plan.jobs]


@contextmanager
def at_work(folder: Path, part: str) -> Iterator[None]:
    """Show that a job, or the sweep itself, is at work; what is told of an earlier try is gone."""
    path = folder / part
    path.parent.mkdir(parents=True, exist_ok=True)
    _forget(path)
    with sign_of_life(path.with_name(f"{path.name}.alive")):
        yield


def _forget(path: Path) -> None:
    for ending in (".json", ".lost"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def leave_note(folder: Path, part: str, end: End) -> None:
    """Write down how a job ended."""
    path = folder / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(asdict(end)).encode())


def leave_lost(folder: Path, part: str, why: str) -> None:
    """Write down why a job ended without a word of its own."""
    path = folder / f"{part}.lost"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, one_line(why).encode())


# -- reading ---------------------------------------------------------------------------------------


def latest(results: Path) -> Path:
    """The folder of the sweep below `results` that began last; raises UserError for none."""
    found = list(results.glob(f"sweeps/*/{PLAN}"))
    if not found:
        raise UserError(f"expected a sweep below {results / 'sweeps'}, got none")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def read_plan(folder: Path) -> Plan:
    """The plan of a sweep; raises FileNotFoundError for none, UserError for what is no plan."""
    path = folder / PLAN
    try:
        told = _parsed(path)
        version = told.pop("version")
        if version != VERSION:
            raise UserError(
                f"expected a plan of version {VERSION} in {path}, got {version!r:.80}; read it "
                "with the robench that wrote it, or start the sweep again in another folder"
            )
        jobs = tuple(_job(one) for one in told["jobs"])
        return Plan(_place(told["results"]), jobs, tuple(map(str, told["trainings"])))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"expected a sweep's plan at {path}, got: {one_line(error)}") from error


def _parsed(path: Path) -> Any:
    """The JSON of a file; raises ValueError for one that nests too deep, too."""
    try:
        return json.loads(read_plain(path, MAX_BYTES))
    except RecursionError as error:
        raise ValueError("lists inside lists without end") from error


def _job(told: Mapping[str, Any]) -> Asked:
    name = one_line(told["id"])
    if not NAME.fullmatch(name):
        raise ValueError(f"no record has the id {name:.40}")
    return Asked(
        tuple(map(one_line, told["overrides"])),
        name,
        tuple(map(one_line, told["needs"])),
        one_line(told["refused"]),
        one_line(told["before"]),
        told["there"] is True,
    )


def _place(told: object) -> str:
    if not isinstance(told, str) or "\0" in told:
        raise ValueError("results is no path")
    return told


def read_end(folder: Path, part: str) -> End | None:
    """How a job ended; None where it did not, or left nothing that can be read."""
    try:
        told = _parsed(folder / f"{part}.json")
        overrides = tuple(map(one_line, told["overrides"]))
        record, error = told["record"], told["error"]
        if record and not NAME.fullmatch(one_line(record)):
            return None
        return End(overrides, record and one_line(record), error and one_line(error))
    except (OSError, UserError, ValueError, TypeError, KeyError):
        return None


def standings(folder: Path, engine: Mapping[str, State] | None = None) -> list[Standing]:
    """How it stands with every job of a sweep, from its plan, the records and its notes.

    `engine` says of jobs, by their part, what a cluster knows: that one waits, runs or is lost.
    Without a plan, as sweepers of plugins leave it, the jobs that ended are all that is known.
    Raises UserError where there is no sweep.
    """
    try:
        plan = read_plan(folder)
    except FileNotFoundError:
        return _of_notes(folder)
    at_work = alive(folder / f"{SWEEP}.alive")
    known = engine or {}
    return [
        _standing(folder, plan, number, known.get(str(number)), bool(at_work))
        for number in range(len(plan.jobs))
    ]


def _standing(
    folder: Path, plan: Plan, number: int, engine: State | None, sweeping: bool
) -> Standing:
    job, part = plan.jobs[number], str(number)

    def stands(state: State, why: str = "", record: Path | None = None) -> Standing:
        return Standing(number, job.overrides, state, why, record)

    if job.refused:
        return stands("failed", job.refused)
    working = alive(folder / f"{part}.alive")
    if working and engine != "lost":
        return stands("running")
    record = Path(os.path.normpath(folder / plan.results / job.id))
    end = read_end(folder, part)
    if end and end.error:
        return stands("failed", end.error)
    if _is_made(job, record):
        return stands("done", record=record)
    if engine in ("waiting", "running"):
        return stands(engine)
    if why := _lost(folder, part):
        return stands("lost", why)
    if working is False or engine == "lost":
        return stands("lost", "its process ended without a word: killed, or its machine is gone")
    if end:
        return stands("lost", f"its record {job.id} is gone")
    if sweeping:
        return stands("waiting")
    return stands("lost", "never started: the sweep ended before it")


def trainings(folder: Path, engine: Mapping[str, State] | None = None) -> list[State]:
    """How it stands with the trainings that several jobs of a sweep wait for."""
    try:
        count = len(read_plan(folder).trainings)
    except FileNotFoundError:
        return []
    return [_training(folder, f"{TRAININGS}/{at}", engine or {}) for at in range(count)]


def _training(folder: Path, part: str, engine: Mapping[str, State]) -> State:
    if end := read_end(folder, part):
        return "failed" if end.error else "done"
    working = alive(folder / f"{part}.alive")
    if part in engine and not working:
        return engine[part]
    if working is None and not _lost(folder, part):
        return "waiting"
    return "running" if working else "lost"


def _is_made(job: Asked, record: Path) -> bool:
    try:
        require_plain(record / RECORD)
        return job.there or file_hash(record / RECORD) != job.before
    except (OSError, UserError):
        return False


def _lost(folder: Path, part: str) -> str:
    try:
        return one_line(read_plain(folder / f"{part}.lost", MAX_LINE).decode())
    except (OSError, UserError, ValueError):
        return ""


def _of_notes(folder: Path) -> list[Standing]:
    numbers = sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())
    ends = [(number, read_end(folder, str(number))) for number in numbers]
    found = [
        Standing(
            number,
            end.overrides,
            "failed" if end.error else "done",
            end.error or "",
            _results_of(folder) / end.record if end.record else None,
        )
        for number, end in ends
        if end
    ]
    if not found:
        raise UserError(f"expected the folder of a sweep, got {folder} without {PLAN}")
    return found


def _results_of(folder: Path) -> Path:
    """The results folder that a sweep lies in by default: RESULTS/sweeps/TIME."""
    return folder.parent.parent


def seen_from(folder: Path, results: Path) -> str:
    """A results folder as a path from a sweep's, so that both may be mounted elsewhere."""
    return os.path.relpath(results.absolute(), folder.absolute())
