"""Whether submitted records hold: their form, what follows from their files, and a sample judged
again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.base.errors import ConfigError, DataError, UserError, debugging
from robench.base.progress import about
from robench.base.text import one_line, reason
from robench.leaderboard.read.intake import Taken, check_form, find_records, hold_taken
from robench.records.store import artefact, read
from robench.records.trust import Step
from robench.run.config import Places


@dataclass(frozen=True)
class CheckResult:
    """One check of one record."""

    record: str
    check: str
    outcome: Literal["pass", "fail", "not done"]
    text: str = ""


def check(roots: list[Path], places: Places, sample: int | None = None) -> Iterator[CheckResult]:
    """Check every record below the roots; a broken one ends its own checks, not the others'.

    sample: how many of the records that hold a model are judged again; all if not given.
    """
    found = [(name, seen.folder) for name, seen in find_records(roots)]
    judged = _sample(found, sample)
    for number, (name, folder) in enumerate(found, 1):
        with about(f"{name}, {number} of {len(found)}"):
            steps = list(_steps(folder, name in judged, places))
        for step in steps:
            yield CheckResult(name, step.name, step.outcome, step.text)


def _sample(found: Sequence[tuple[str, Path]], sample: int | None) -> set[str]:
    """The same ones each time, and not to be chosen by a folder's name."""
    able = [(name, folder) for name, folder in found if artefact(folder)]
    able.sort(key=lambda one: hashlib.sha256(_identity(one[1])).digest())
    return {name for name, _ in able[:sample]}


def _identity(folder: Path) -> bytes:
    try:
        return read(folder).id.encode()
    except UserError:
        return b""


def _steps(folder: Path, judged: bool, places: Places) -> Iterator[Step]:
    try:
        record = check_form(folder)
    except UserError as error:
        yield _failed("form", error)
        return
    yield Step(name="form", outcome="pass")
    try:
        taken = hold_taken(record, folder)
    except UserError as error:
        yield _failed("consistent", error)
        return
    yield from _founded(taken)
    if artefact(folder) is None:
        yield _not_done("verified", "the record holds no deployed model")
    elif not judged:
        yield _not_done("verified", "not in the sample")
    else:
        yield from _verified(folder, places)


def _founded(taken: Taken) -> Iterator[Step]:
    """What nothing stored supports was not checked, which is no pass."""
    if not taken.unfounded:
        yield Step(name="consistent", outcome="pass")
    for text in taken.unfounded:
        yield _not_done("consistent", text)


def _verified(folder: Path, places: Places) -> Iterator[Step]:
    """The deployed model judges the record's examples again, and is searched again."""
    # It loads torch, which form and numbers do not need.
    from robench.replay.verify import verify

    try:
        yield from verify(folder, places).steps
    except (ConfigError, DataError) as error:
        # Data or plugins that this machine lacks.
        yield _not_done("verified", str(error))
    except Exception as error:
        yield _failed("verified", error)


def _failed(name: str, error: Exception) -> Step:
    known = isinstance(error, UserError)
    if debugging() and not known:
        raise error
    return Step(name=name, outcome="fail", text=one_line(error) if known else reason(error))


def _not_done(name: str, text: str) -> Step:
    return Step(name=name, outcome="not done", text=text)
