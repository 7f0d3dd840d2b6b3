"""What a record proves: three levels, computed from its files and from who judged it again.

reported     its form is right, and nothing is known beyond it
consistent   what it says follows from what it stored
verified     its deployed model was judged again, and searched again, by somebody named

A level is never read from a record: the attestation that makes one `verified` lies where the
record's author cannot write, and names the record's files by their digest.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from robench.base.errors import UserError
from robench.base.hashing import canonical, file_hash
from robench.core.record import Frozen
from robench.records.store import MAX_FILE, shared_files

Level = Literal["reported", "consistent", "verified"]
LEVELS: tuple[Level, ...] = ("reported", "consistent", "verified")
"""From the one that proves least."""
STEPS = (
    "consistent",
    "model",
    "rows",
    "examples",
    "audits",
    "crafted again",
    "searched again",
    "certificates",
    "challenges",
    "other values",
)
"""What a verification does, in order; one that leaves a step out verifies nothing."""
MAX_BYTES = 2**20


class Step(Frozen):
    """One thing that a verification did."""

    name: str
    outcome: Literal["pass", "fail", "not done"]
    text: str = ""
    """What was found, or why it was not done."""
    needed: bool = True
    """Whether a record is not verified without it."""


class Attestation(Frozen):
    """Who verified a record, when, with what, and what came out."""

    record: str = Field(max_length=64)
    """Its id."""
    content: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of its files."""
    date: str
    """Day of the verification, YYYY-MM-DD."""
    robench: str
    torch: str
    machine: str
    steps: tuple[Step, ...]

    @property
    def refuted(self) -> bool:
        """Whether something that the record says was found false."""
        return any(step.outcome == "fail" for step in self.steps)

    @property
    def verified(self) -> bool:
        """Whether nothing failed and everything needed was done."""
        missing = any(step.outcome != "pass" for step in self.steps if step.needed)
        whole = tuple(step.name for step in self.steps) == STEPS
        return whole and not self.refuted and not missing

    def passed(self, name: str) -> bool:
        """Whether a step was done and found nothing wrong."""
        return any(step.name == name and step.outcome == "pass" for step in self.steps)


def content(folder: Path) -> str:
    """SHA-256 of a record's files, by name, 64 hexadecimal digits."""
    return content_of(file_hashes(folder))


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each of a record's files, by name and sorted; of what is no plain file its mode,
    of one above MAX_FILE its size.

    A file that lies among the shared ones of a collection counts as the record's own.

    A record beside which something else lies is no copy of the one without, nor named as such.
    """
    within = {name: _hash(os.path.join(folder, name)) for name in os.listdir(folder)}
    beside = {name: _hash(path) for name, path in shared_files(folder)}
    return dict(sorted((beside | within).items()))


def _hash(path: Path | str) -> str:
    about = os.lstat(path)
    if not stat.S_ISREG(about.st_mode):
        return f"mode {stat.S_IFMT(about.st_mode):o}"
    return file_hash(path) if about.st_size <= MAX_FILE else f"size {about.st_size}"


def content_of(hashes: Mapping[str, str]) -> str:
    """The digest of a record's files, of what `file_hashes` gives."""
    return hashlib.sha256(canonical([*map(list, hashes.items())]).encode()).hexdigest()


def level(unfounded: Sequence[str], attestation: Attestation | None) -> Level:
    """The level of a record whose files do not contradict each other.

    `unfounded` says what of it nothing stored supports.
    """
    if unfounded or (attestation and attestation.refuted):
        return "reported"
    return "verified" if attestation and attestation.verified else "consistent"


def read_attestations(folder: Path) -> dict[str, Attestation]:
    """The attestations in a folder, by the digest of the files they speak of: of several the last
    by its day, one that found something false before any other of that day.

    Raises UserError for a damaged one.
    """
    return {one.content: one for one in sorted(_read_all(folder), key=_weight)}


def _weight(attestation: Attestation) -> tuple[str, bool, str]:
    return attestation.date, attestation.refuted, attestation.model_dump_json()


def _read_all(folder: Path) -> Iterator[Attestation]:
    for path in sorted(folder.glob("*.json")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise UserError(f"expected attestations of at most {MAX_BYTES} bytes, got {path}")
        try:
            yield Attestation.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"expected an attestation in {path}, got: {first['msg']}") from error


def write_attestation(attestation: Attestation, folder: Path) -> Path:
    """Write it into a folder; an earlier one of the same files is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{attestation.content[:32]}.json"
    path.write_text(attestation.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path
