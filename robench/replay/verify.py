"""What a record says, tried again on the model that it keeps; nothing is trained."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from robench.base.errors import UserError
from robench.base.machine import cpu_name
from robench.base.text import visible
from robench.core.record import Record
from robench.records import trust
from robench.records.consistent import Inspected, inspect
from robench.records.store import read
from robench.records.trust import Attestation, Level, Step
from robench.replay.certificates import certified_again, certifies
from robench.replay.crafted import crafted_again
from robench.replay.judged import audits_again, challenges_again, examples_again, named, rows_asked
from robench.replay.model import model_again
from robench.replay.searched import searched_again
from robench.replay.steps import NotDone, step
from robench.replay.subject import Subject, open_subject
from robench.run.config import Places

AGAIN = frozenset(
    (
        "clean_accuracy",
        "attacked_accuracy",
        "robust_accuracy",
        "worst_case_accuracy",
        "unbroken_accuracy",
        "audited_accuracy",
        "gained_by_masking",
        "certified_accuracy",
        "certified_accuracy_eq10",
        "certified_percentage",
        "certified_percentage_at",
        "certificate_abstention",
        "average_certified_radius",
        "draws_per_image",
    )
)
"""Values that follow from what the steps judge, search and certify again."""


@dataclass(frozen=True)
class Verification:
    """The steps of one verification, and the level that they give the record."""

    folder: Path
    unfounded: tuple[str, ...]
    attestation: Attestation

    @property
    def steps(self) -> tuple[Step, ...]:
        """What was done, in order."""
        return self.attestation.steps

    @property
    def refuted(self) -> bool:
        """Whether something that the record says is false."""
        return self.attestation.refuted

    @property
    def level(self) -> Level:
        """What the record proves."""
        return trust.level(self.unfounded, self.attestation)


def verify(folder: Path, places: Places, seed: int | None = None) -> Verification:
    """Verify a record: its files, then its model, examples, rows, audits and certificates.

    Which rows and images are tried again is drawn anew each time, so that nobody can prepare for
    it; `seed` draws the same ones. Raises UserError when there is no record to read.
    """
    record = read(folder)
    content = trust.content(folder)
    inspected: list[Inspected] = []
    steps = [step("consistent", partial(_inspect, folder, inspected))]
    unfounded = inspected[0].unfounded if inspected else ()
    if inspected:
        seed = secrets.randbits(62) if seed is None else seed
        steps += _steps(folder, inspected[0], places, seed)
    if trust.content(folder) != content:
        raise UserError(f"expected {folder} to stay as it is while it is verified, got other files")
    return Verification(folder, unfounded, _attested(record, content, tuple(steps)))


def _inspect(folder: Path, into: list[Inspected]) -> str:
    into.append(inspect(folder))
    unfounded = into[0].unfounded
    left = f", except: {'; '.join(unfounded)}" if unfounded else ""
    return f"what the record says follows from its files{left}"


Work = Callable[[Subject], str]


def _steps(folder: Path, inspected: Inspected, places: Places, seed: int) -> Iterator[Step]:
    """The steps on the model; where it cannot be had or is another, all say so."""
    record = inspected.record
    opened: list[Subject] = []

    def model() -> str:
        opened.append(open_subject(folder, record, inspected.outcomes, places, seed))
        return model_again(opened[0])

    first = step("model", model)
    yield first
    reason = "there is no model to judge by" if not opened else "the model is not the recorded one"
    for name, work, needed in _works(inspected, opened[0] if opened else None):
        if first.outcome == "pass":
            yield step(name, partial(work, opened[0]), needed=needed)
        else:
            yield Step(name=name, outcome="not done", text=reason, needed=needed)


def _works(inspected: Inspected, subject: Subject | None) -> Iterator[tuple[str, Work, bool]]:
    """Every step's name, what does it, and whether the record needs it to be verified."""
    record = inspected.record
    rows, audited = bool(record.rows), bool(record.audit)
    yield "rows", rows_asked, True
    yield "examples", examples_again, rows
    yield "audits", audits_again, audited
    yield "crafted again", crafted_again, _unbounded(inspected)
    yield "searched again", searched_again, audited
    yield "certificates", certified_again, subject is None or certifies(subject)
    yield "challenges", challenges_again, True
    yield "other values", partial(_others, record), False


def _others(record: Record, subject: Subject) -> str:
    """Name the values that no step measures again."""
    others = sorted({value.metric for value in record.values} - AGAIN)
    places = [(row.attack, row.access, row.norm, row.eps) for row in subject.valid]
    left = [named(*place) for place in places if place not in subject.counted]
    others += [f"gradients and queries of {', '.join(left)}"] if left else []
    others += ["seconds of the rows"] if places else []
    if others:
        raise NotDone(f"not measured again: {', '.join(others)}")
    return "there are none"


def _unbounded(inspected: Inspected) -> bool:
    """Whether a row is under no audit, so that only its own attack shows how strong it is."""
    bounded = {(audit.norm, audit.eps) for audit in inspected.record.audit}
    rows = [row for row in inspected.outcomes.attacked if row.search != "noise"]
    return any((row.norm, row.eps) not in bounded for row in rows)


def _attested(record: Record, content: str, steps: tuple[Step, ...]) -> Attestation:
    import torch

    return Attestation(
        record=visible(record.id)[:64],
        content=content,
        date=datetime.now(UTC).date().isoformat(),
        robench=version("robench"),
        torch=torch.__version__,
        machine=f"{cpu_name()}, {platform.system()}",
        steps=steps,
    )
