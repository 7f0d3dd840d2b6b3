"""What sweeps refused: combinations without a record, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from robench.base.errors import UserError
from robench.base.files import read_plain, require_plain
from robench.base.text import one_line
from robench.leaderboard.read.private import check_text

MAX_BYTES = 20_000
Text = Annotated[str, Field(max_length=500)]


@dataclass(frozen=True)
class Refusal:
    """A combination that a sweep asked for, and why robench did not run it."""

    asked: str
    reason: str


class _Note(BaseModel):
    """What a job of a sweep left behind: see `robench.cli.sweep`."""

    model_config = ConfigDict(extra="forbid")

    overrides: tuple[Text, ...]
    record: Text | None
    error: Annotated[str, Field(max_length=4_000)] | None


def find_refusals(roots: Iterable[Path]) -> tuple[Refusal, ...]:
    """Every job below `ROOT/sweeps` whose last end was an error.

    What is no note, and a note that names a place on a machine, is left alone.
    """
    last: dict[tuple[str, ...], str | None] = {}
    for root in roots:
        for path in sorted(root.glob("sweeps/*/*.json")):
            if note := _read(path):
                last[note.overrides] = note.error
    errors = ((asked, error) for asked, error in last.items() if error)
    found = (Refusal(one_line(" ".join(asked)), one_line(error)) for asked, error in errors)
    return tuple(sorted(found, key=lambda one: one.asked))


def _read(path: Path) -> _Note | None:
    try:
        require_plain(path)
        note = _Note.model_validate_json(read_plain(path, MAX_BYTES))
        for text in (*note.overrides, note.error or ""):
            check_text(one_line(text), path.name)
        return note
    except (UserError, OSError, ValidationError):
        return None
