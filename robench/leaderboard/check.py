"""Whether submitted records hold: their form, what follows from their files, and a sample judged
again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.base.errors import ConfigError, DataError, UserError, debugging
from robench.leaderboard.read.intake import Taken, check_form, find_records, take
from robench.records.store import PROGRAM, WEIGHTS, read
from robench.records.trust import Step
from robench.run.config import Places

MODELS = (PROGRAM, WEIGHTS)
"""Files that hold the deployed model; a record needs one of them to be judged again."""


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
    found = find_records(roots)
    judged = _sample(found, sample)
    for name, folder in found:
        for step in _steps(folder, name in judged, places):
            yield CheckResult(name, step.name, step.outcome, step.text)


def _sample(found: Sequence[tuple[str, Path]], sample: int | None) -> set[str]:
    """The same ones each time, and not to be chosen by a folder's name."""
    able = [(name, folder) for name, folder in found if _model(folder)]
    able.sort(key=lambda one: hashlib.sha256(_identity(one[1])).digest())
    return {name for name, _ in able[:sample]}


def _identity(folder: Path) -> bytes:
    try:
        return read(folder).id.encode()
    except UserError:
        return b""


def _model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MODELS)


def _steps(folder: Path, judged: bool, places: Places) -> Iterator[Step]:
    try:
        check_form(folder)
    except Exception as error:
        yield _failed("form", error)
        return
    yield Step(name="form", outcome="pass")
    try:
        taken = take(folder)
    except UserError as error:
        yield _failed("consistent", error)
        return
    yield from _founded(taken)
    if not _model(folder):
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
    text = " ".join(str(error).split())
    known = isinstance(error, UserError)
    if debugging() and not known:
        raise error
    return Step(
        name=name, outcome="fail", text=text if known else f"{type(error).__name__}: {text}"
    )


def _not_done(name: str, text: str) -> Step:
    return Step(name=name, outcome="not done", text=text)
