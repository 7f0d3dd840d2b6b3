"""First pass over the records of a row: everything of it that needs no other row."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robench.base.errors import UserError
from robench.core.outcomes import Outcomes, Score, clean_score, scores
from robench.core.record import Record
from robench.leaderboard.read.intake import take
from robench.leaderboard.read.merge import merged
from robench.leaderboard.table.row import BoardRow, Strip, make_row, strips
from robench.leaderboard.write.pages import script
from robench.records.compare import budgets
from robench.records.preview import PREVIEW
from robench.records.store import RECORD

MAX_PICTURE = 8 * 2**20
PNG = b"\x89PNG\r\n\x1a\n"


def collect(folders: Sequence[Path], out: Path) -> BoardRow:
    """Check the records of one row, write their files to `out`/<id> and make the row.

    Raises UserError.
    """
    taken = [take(folder) for folder in folders]
    pictures = [_picture(folder / PREVIEW) for folder in folders]
    record, outcomes = merged(taken)
    place = out / record.id
    try:
        place.mkdir()
    except FileExistsError:
        raise UserError(f"expected each run once, got {record.id} twice") from None
    drawn: list[Strip] = []
    for (one, its), folder, picture in zip(taken, folders, pictures, strict=True):
        shutil.copyfile(folder / RECORD, place / (f"{one.id}.json" if len(taken) > 1 else RECORD))
        if picture is not None:
            name = f"{one.id}.png"
            (place / name).write_bytes(picture)
            drawn += strips(name, its)
    (place / "outcomes.js").write_text(_outcomes(record, outcomes), encoding="utf-8")
    if len(taken) > 1:
        (place / RECORD).write_text(
            record.model_dump_json(indent=1, exclude_unset=True), encoding="utf-8"
        )
    named = {one.id: folder for (one, _), folder in zip(taken, folders, strict=True)}
    return make_row(record, outcomes, named, drawn)


def _picture(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    data = path.read_bytes() if path.stat().st_size <= MAX_PICTURE else b""
    if not data.startswith(PNG):
        raise UserError(f"expected a PNG of at most {MAX_PICTURE} bytes in {path.name}")
    return data


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
