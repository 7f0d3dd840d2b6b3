"""Better adversarial examples that somebody found for a record, kept beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.base.text import one_line
from robench.core.record import Frozen

MAX_BYTES, MAX_EXAMPLES, MOST = 2**20, 2**28, 1_000
"""Largest size of a challenge, of its examples, and how many of them are read."""
MAX_SOURCE = 200
"""Letters of a source at most."""
NAME = re.compile(r"challenge-[0-9a-f]{16}\.json")


def check_source(source: str) -> str:
    """The source itself; raises ValueError unless it is one visible line."""
    if not 0 < len(source) <= MAX_SOURCE or one_line(source) != source:
        raise ValueError(
            f"expected a source of 1 to {MAX_SOURCE} letters on one visible line, with single "
            f"spaces, got {source[:60]!a}"
        )
    return source


class Challenge(Frozen):
    """Images under one threat that the record says hold, and that its model gets wrong."""

    norm: Literal["linf", "l2"]
    eps: float = Field(gt=0)
    """In [0,1] pixels."""
    source: Annotated[str, AfterValidator(check_source)]
    """Who found the examples, or with what."""
    date: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    """Day on which they were judged."""
    broken: tuple[int, ...] = Field(min_length=1)
    """Positions among the judged images, increasing."""
    examples: str
    """SHA-256 of the file of the examples."""


def examples_file(folder: Path, challenge: Challenge) -> Path:
    """Where its examples lie: `images`, 8-bit differences of the broken ones, modulo 256."""
    return folder / f"challenge-{challenge.examples[:16]}.npz"


def read_challenges(folder: Path) -> list[Challenge]:
    """The challenges kept beside a record, none for most.

    Raises UserError for a damaged one, for links, and for examples that are missing or others. Who
    believes what a challenge says must judge its examples: `robench verify` does.
    """
    return list(_read_all(folder))


def _read_all(folder: Path) -> Iterator[Challenge]:
    paths = [folder / name for name in sorted(os.listdir(folder)) if NAME.fullmatch(name)]
    if len(paths) > MOST:
        raise UserError(f"expected at most {MOST} challenges in {folder}, got {len(paths)}")
    for path in paths:
        _check_file(path, MAX_BYTES)
        try:
            challenge = Challenge.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"expected a challenge in {path}, got: {first['msg']}") from error
        if list(challenge.broken) != sorted(set(challenge.broken)) or challenge.broken[0] < 0:
            raise UserError(f"expected increasing positions of broken images in {path}")
        if path.stem != f"challenge-{challenge.examples[:16]}":
            raise UserError(f"expected a challenge named by the digest of its examples, got {path}")
        examples = examples_file(folder, challenge)
        _check_file(examples, MAX_EXAMPLES)
        if file_hash(examples) != challenge.examples:
            raise UserError(f"expected the examples of {path.name} in {examples.name}, got others")
        yield challenge


def _check_file(path: Path, largest: int) -> None:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > largest:
        raise UserError(f"expected a file of at most {largest} bytes at {path}")


def write_challenge(challenge: Challenge, folder: Path) -> Path:
    """Write a challenge into a folder, named by its examples; returns its path."""
    path = examples_file(folder, challenge).with_suffix(".json")
    path.write_text(challenge.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return path
