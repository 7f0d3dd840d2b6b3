"""First pass over the records of a row: everything of it that needs no other row."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robench.base.errors import UserError
from robench.base.files import read_picture
from robench.core.outcomes import Outcomes, Score, clean_score, scores
from robench.core.record import Record
from robench.leaderboard.read.intake import MAX_PICTURE, take
from robench.leaderboard.read.merge import merged
from robench.leaderboard.table.row import BoardRow, Strip, make_row, strips
from robench.leaderboard.write.pages import script
from robench.records.compare import budgets
from robench.records.preview import PREVIEW
from robench.records.store import RECORD


def collect(folders: Sequence[Path], out: Path) -> BoardRow:
    """Check the records of one row, write their files to `out`/<id> and make the row.

    Raises UserError.
    """
    taken = [take(folder) for folder in folders]
    record, outcomes = merged([(one.record, one.outcomes) for one in taken])
    place = out / record.id
    try:
        place.mkdir()
    except FileExistsError:
        raise UserError(f"expected each run once, got {record.id} twice") from None
    drawn: list[Strip] = []
    for one in taken:
        name = f"{one.record.id}.json" if len(taken) > 1 else RECORD
        shutil.copyfile(one.folder / RECORD, place / name)
        if (one.folder / PREVIEW).exists():
            name = f"{one.record.id}.png"
            (place / name).write_bytes(read_picture(one.folder / PREVIEW, MAX_PICTURE))
            drawn += strips(name, one.outcomes)
    (place / "outcomes.js").write_text(_outcomes(record, outcomes), encoding="utf-8")
    if len(taken) > 1:
        (place / RECORD).write_text(
            record.model_dump_json(indent=1, exclude_unset=True), encoding="utf-8"
        )
    named = {one.record.id: one.folder for one in taken}
    return make_row(record, outcomes, named, drawn)


def _outcomes(record: Record, outcomes: Outcomes) -> str:
    """Per score and image one bit: what the comparison of two rows reads."""
    robust = scores(outcomes, budgets(record), when_clean_right=True)
    right = {_key(score): _packed(score) for score in (clean_score(outcomes), *robust)}
    about: Mapping[str, object] = {
        "data": record.data.hash,
        "subset": record.data.subset,
        "n": record.data.images,
        "right": right,
    }
    return script(f"outcomes_{record.id}", about)


def _key(score: Score) -> str:
    eps = "" if score.eps is None else str(score.eps)
    return "|".join([score.attack, score.access, score.norm, eps])


def _packed(score: Score) -> str:
    return base64.b64encode(np.packbits(score.right).tobytes()).decode()
