"""Whether a submitted record holds: its form, its hashes, its numbers, and its examples again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robench.base.errors import ConfigError, DataError, UserError
from robench.core.outcomes import Score, clean_score, scores, worst_cases
from robench.core.record import Record
from robench.leaderboard.read.intake import check_hash, find_records, take
from robench.records.compare import budgets
from robench.records.store import read, read_outcomes
from robench.run.config import Places

ROUNDING = 1e-9


@dataclass(frozen=True)
class CheckResult:
    """One check of one record."""

    record: str
    check: str
    outcome: Literal["pass", "fail", "not done"]
    text: str = ""


class NotDone(Exception):
    """A check that this machine cannot make, and why."""


def check(roots: list[Path], places: Places) -> Iterator[CheckResult]:
    """Check every record below the roots; a broken one ends its own checks, not the others'."""
    for name, folder in find_records(roots):
        for title, test in RECORD_CHECKS.items():
            result = _one(name, title, test, folder, places)
            yield result
            if result.outcome == "fail":
                break


Test = Callable[[Path, Places], None]


def _one(name: str, title: str, test: Test, folder: Path, places: Places) -> CheckResult:
    try:
        test(folder, places)
    except NotDone as reason:
        return CheckResult(name, title, "not done", str(reason))
    except UserError as error:
        return CheckResult(name, title, "fail", str(error))
    return CheckResult(name, title, "pass")


def _form(folder: Path, places: Places) -> None:
    del places
    take(folder)


def _hash(folder: Path, places: Places) -> None:
    del places
    check_hash(read(folder))


def _numbers(folder: Path, places: Places) -> None:
    """Every accuracy follows from the outcomes table."""
    del places
    record, outcomes = read(folder), read_outcomes(folder)
    known = budgets(record)
    _same(record, "clean_accuracy", clean_score(outcomes))
    for metric, robust in (("attacked_accuracy", False), ("robust_accuracy", True)):
        for score in scores(outcomes, known, when_clean_right=robust):
            _same(record, metric, score)
    for score in worst_cases(outcomes, known):
        _same(record, "worst_case_accuracy", score)


def _same(record: Record, metric: str, score: Score) -> None:
    found = record.find(metric, **({} if metric == "clean_accuracy" else score.axes))
    if found is not None and (found.value is None or abs(found.value - score.value) > ROUNDING):
        raise UserError(
            f"expected {metric} of {score.attack} to be {score.value:.6g} by the outcomes table, "
            f"got {found.value}"
        )


def _protocol(folder: Path, places: Places) -> None:
    """The protocol is the one that the configuration and the data give here."""
    from robench.records.protocol import protocol, settings
    from robench.run.compose import from_plain
    from robench.run.provenance import component_versions
    from robench.run.reopen import data

    record = read(folder)
    with _possible():
        config = from_plain(record.config, record.provenance.components)
        hash_here, versions = data(config, places).hash, component_versions(config)
    if hash_here != record.data.hash:
        raise UserError(f"expected data {hash_here}, got {record.data.hash}")
    here = protocol(record.data, record.rows, settings(record.rows, record.config, versions))
    if here != record.protocol:
        raise UserError(
            f"expected protocol {here} for this configuration and these versions, got "
            f"{record.protocol}"
        )


def _examples(folder: Path, places: Places) -> None:
    """What the record says stands on the model that it keeps."""
    from robench.replay.verify import verify

    steps = verify(folder, places).steps
    for step in steps:
        if step.outcome == "fail":
            raise UserError(f"{step.name}: {step.text}")
    for step in steps:
        if step.outcome == "not done" and step.needed:
            raise NotDone(f"{step.name}: {step.text}")


@contextmanager
def _possible() -> Iterator[None]:
    """Turn a data set or plugin that this machine lacks into a check that was not done."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise NotDone(str(error)) from error


RECORD_CHECKS: dict[str, Test] = {
    "form": _form,
    "hash": _hash,
    "numbers": _numbers,
    "protocol": _protocol,
    "examples": _examples,
}
"""In the order in which they are made; each expects that those before it passed."""
