"""Saved examples of rows and audits, and challenges, judged again on the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.audit.judge import Judge
from robench.base.seeds import derive, seed_scope
from robench.base.text import counted
from robench.core.record import Audit
from robench.core.threat import Threat, distance, eps_text
from robench.records.arrays import row_name
from robench.records.challenges import Challenge, examples_file, read_challenges
from robench.records.examples import load_examples, load_kept, shown
from robench.records.protocol import PARENT
from robench.records.store import EXAMPLES
from robench.replay.steps import NotDone, Refuted
from robench.replay.subject import Subject
from robench.run import reopen
from robench.run.audit_files import AUDIT_TABLE, held_again, read_audit_table

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rows_asked(subject: Subject) -> str:
    """Whether the rows are those that the configuration asks for, no more and no fewer."""
    there = {row.attack for row in subject.record.rows}
    asked = set(subject.record.config["attack"])
    if there != asked:
        raise Refuted(
            f"the configuration asks for {_names(asked)}, the rows are of {_names(there)}"
        )
    known = [s for s in reopen.asked(subject.stages) if s.attack not in subject.unknown]
    wanted = {(s.attack, s.access, s.threat.norm, s.threat.eps): s.search for s in known}
    found = {
        (row.attack, row.access, row.norm, row.eps): row
        for row in subject.record.rows
        if row.attack not in subject.unknown
        # Of a compressor's file, what it was made of is not kept.
        and not (row.access == PARENT and subject.stages.parent is None)
    }
    for place in sorted(set(wanted) ^ set(found), key=str):
        what = "a row that is missing" if place in wanted else "no such row"
        raise Refuted(f"the configuration asks for {what}: {named(*place)}")
    for place, row in found.items():
        if row.status != "invalid" and subject.part(row).search != wanted[place]:
            raise Refuted(f"{named(*place)} is no search of the kind that its attack makes")
    return f"{counted(len(found), 'row')}, as the configuration asks"


def examples_again(subject: Subject) -> str:
    """Whether every kept example keeps to its row's threat, its distances and its label.

    What no row keeps is shown by the clean image, or by an example in a ball that is no larger.
    """
    if not subject.valid:
        raise NotDone("the record has no rows with examples")
    if not (subject.folder / EXAMPLES).is_file() and EXAMPLES not in subject.record.files:
        raise NotDone("the record keeps no examples")
    parts = [subject.part(row) for row in subject.valid]
    total = different = 0
    for index, kept in enumerate(shown(parts)):
        row, part = subject.valid[index], parts[index]
        where = named(row.attack, row.access, row.norm, row.eps)
        at, found = load_kept(subject.folder / EXAMPLES, row_name(index), subject.test.images, kept)
        if len(at) == 0:
            continue
        images, positions = subject.test.take(at).float_images(), at.numpy()
        _require_legal(where, subject.threat(row), found, images, at.tolist())
        for norm, recorded in (("linf", part.linf), ("l2", part.l2)):
            now = distance(found, images, norm).numpy()
            if not np.allclose(now, recorded[positions], rtol=1e-4, atol=1e-5):
                raise Refuted(f"{where}: the recorded distances are not those of the examples")
        different += subject.require_labels(where, part.prediction[positions], found)
        total += len(at)
    equal = "give their recorded labels" if not different else f"give all but {different} labels"
    every = f"{counted(total, 'example')} of {counted(len(parts), 'row')}"
    return f"{every} lie in their threats and {equal}"


def audits_again(subject: Subject) -> str:
    """Whether every audit's examples break what its table says, and its accuracy follows."""
    audits = subject.record.audit
    if not audits:
        raise NotDone(not_audited(subject))
    if not all((subject.folder / name).is_file() for name in (f"{AUDIT_TABLE}.parquet", EXAMPLES)):
        raise NotDone("the record keeps no examples of its audits")
    for number, audit in enumerate(audits):
        _audit_again(subject, number, audit)
    return f"the examples of {len(audits)} audits break the images that their tables name"


def not_audited(subject: Subject) -> str:
    """Why a record has no audit to repeat."""
    if subject.record.file is None or not subject.record.file.black_box:
        return "the record was not audited"
    return (
        "a black box has no gradient to audit: its examples are judged and its rows crafted again, "
        "and whether another attack breaks more is not known"
    )


def audit_table(subject: Subject, number: int) -> dict[str, NDArray[Any]]:
    """An audit's table; raises Refuted for other images than the configuration chooses."""
    table = read_audit_table(subject.folder, number)
    if not np.array_equal(table["position"][table["checked"]], reopen.audited(subject.stages)):
        raise Refuted(
            f"audit {number + 1}: its images are not those that the configuration chooses"
        )
    return table


def _audit_again(subject: Subject, number: int, audit: Audit) -> None:
    where, table = f"audit under {audit.norm} {eps_text(audit.eps)}", audit_table(subject, number)
    grid = subject.stages.config.threat.grid
    with seed_scope(derive(subject.seed, "audit", number)):
        held, legal = held_again(
            subject.folder, number, audit, table, subject.deployed, subject.test, grid
        )
    if not legal:
        raise Refuted(f"{where}: examples lie outside the ball")
    recorded, rows = table["held"].astype(bool), table["rows"].astype(bool)
    first, second = int((held & rows & ~recorded).sum()), int((~held & recorded).sum())
    if bool(table["randomised"].any()) and not subject.randomised:
        text = f"{where}: it says that the model answers each time anew, and here it does not"
        raise (Refuted if subject.exact else NotDone)(text)
    # What fell in the audit by many answers of a randomised model may hold in as many others.
    noise = subject.randomised or bool(table["randomised"].any())
    allowed = 0.02 * len(held) if noise or not subject.exact else 0
    if first + second > (0.05 * len(held) if noise else allowed):
        raise Refuted(
            f"{where}: its examples break {second} images that it says hold, and {first} that it "
            "says are broken are not"
        )
    value = subject.record.get("audited_accuracy", norm=audit.norm, eps=audit.eps)
    if value is None or value.value is None or round(value.value * len(held)) != recorded.sum():
        raise Refuted(f"{where}: its accuracy is not what its table counts")


def challenges_again(subject: Subject) -> str:
    """Whether every challenge beside the record breaks what it says it breaks."""
    challenges = read_challenges(subject.folder)
    for challenge in challenges:
        wrong = broken_by(subject, challenge)
        held = [at for at, broken in zip(challenge.broken, wrong, strict=True) if not broken]
        if held:
            raise Refuted(
                f"the challenge of {challenge.source} does not break {len(held)} of "
                f"{len(challenge.broken)} images, position {held[0]} for one"
            )
    return f"{len(challenges)} challenges break the images that they name"


def broken_by(subject: Subject, challenge: Challenge) -> list[bool]:
    """Which of a challenge's images its examples break; raises Refuted for illegal ones."""
    if challenge.broken[-1] >= len(subject.test):
        raise Refuted(
            f"the challenge of {challenge.source} names position {challenge.broken[-1]} of "
            f"{len(subject.test)} images"
        )
    test = subject.test.take(torch.tensor(challenge.broken))
    found = load_examples(examples_file(subject.folder, challenge), "images", test.images)
    threat = Threat(challenge.norm, challenge.eps)
    name = f"the challenge of {challenge.source}"
    _require_legal(name, threat, found, test.float_images(), challenge.broken)
    return surely_wrong(subject, found, test.labels, "challenge").tolist()


def surely_wrong(
    subject: Subject, images: torch.Tensor, labels: torch.Tensor, name: str
) -> torch.Tensor:
    """Which candidates the model surely gets wrong, by many answers of a randomised one."""
    with seed_scope(derive(subject.seed, name)):
        return Judge(subject.deployed, subject.randomised).wrong(images, labels)


def _require_legal(
    where: str,
    threat: Threat,
    found: torch.Tensor,
    images: torch.Tensor,
    positions: Sequence[int],
) -> None:
    legal = threat.contains(found, images)
    if not bool(legal.all()):
        first = int((~legal).nonzero()[0, 0])
        raise Refuted(
            f"{where}: {int((~legal).sum())} examples lie outside the threat, position "
            f"{positions[first]} for one"
        )


def named(attack: str, access: str, norm: str, eps: float | None) -> str:
    """A row in words."""
    size = "without limit" if eps is None else eps_text(eps)
    return f"{attack} ({access}, {norm} {size})"


def _names(found: set[str]) -> str:
    return ", ".join(sorted(found)) or "none"
