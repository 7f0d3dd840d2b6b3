"""Whether a record on disk is what a run would make again: then it need not be made.

When a record is made the cache notes what it was made of: versions, code, files. A record whose
note is there and whose files are those that it names is whole and current.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.records.shared import place
from robench.records.store import RECORD, read
from robench.run.trainings import trainings
from robench.run.versions import STEPS

if TYPE_CHECKING:
    from pathlib import Path

    from robench.run.stages import Stages


def keep_standing(stages: Stages, folder: Path) -> None:
    """Note in the cache what the record in `folder` was made of.

    A cache that cannot be written gets no note: the record is whole without, and made again from
    what is cached.
    """
    with suppress(UserError):
        stages.cache.fetch("record", _inputs(stages, folder), lambda _: None, lambda _: None)


def stands(stages: Stages) -> bool:
    """Whether the run's record is there, whole, and made of what the run would make it of."""
    folder = stages.places.results / stages.config.id
    try:
        return stages.cache.holds("record", _inputs(stages, folder)) and _whole(folder)
    except OSError:
        return False


def _inputs(stages: Stages, folder: Path) -> dict[str, Any]:
    return {
        "record": file_hash(folder / RECORD),
        "id": stages.config.id,
        "steps": dict(STEPS),
        "basis": stages.basis,
        "trainings": {key: one.basis for key, one in trainings(stages).items()},
    }


def _whole(folder: Path) -> bool:
    try:
        files = read(folder).files
    except UserError:
        return False
    return all(file_hash(place(folder, name, sha)) == sha for name, sha in files.items())
