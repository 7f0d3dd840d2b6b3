"""First pass over the records: everything of a row that needs no other row."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robench.base.files import read_picture
from robench.core.outcomes import Outcomes, Score, clean_score, scores
from robench.core.record import Record
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.intake import MAX_PICTURE
from robench.leaderboard.read.twins import Settled
from robench.leaderboard.table.row import BoardRow, Strip, make_row, strips
from robench.leaderboard.write.pages import script
from robench.records.compare import budgets
from robench.records.preview import PREVIEW
from robench.records.store import RECORD


def collect(settled: Settled, row_id: str, place: Path) -> BoardRow:
    """Write the files of a row to the folder `place` and make the row.

    Raises UserError.
    """
    claims = settled.claims
    pictures = [_picture(claim.folder / PREVIEW) for claim in claims]
    names = _names(claims)
    place.mkdir()
    drawn: list[Strip] = []
    for claim, name, picture in zip(claims, names, pictures, strict=True):
        if picture is not None:
            (place / f"{name}.png").write_bytes(picture)
            drawn += strips(f"{name}.png", claim.outcomes)
    untouched = len(claims) == 1 and not claims[0].challenges
    files = [RECORD] if untouched else [f"{name}.json" for name in names]
    for claim, file in zip(claims, files, strict=True):
        shutil.copyfile(claim.folder / RECORD, place / file)
    row, record, outcomes = make_row(row_id, settled, files, drawn)
    (place / "outcomes.js").write_text(_outcomes(row_id, record, outcomes), encoding="utf-8")
    if not untouched:
        (place / RECORD).write_text(
            record.model_dump_json(indent=1, exclude_unset=True), encoding="utf-8"
        )
    return row


def _names(claims: Sequence[Claim]) -> list[str]:
    """A name of each record: its id, where two have one with the beginning of its content."""
    ids = [claim.id for claim in claims]
    return [one.id if ids.count(one.id) == 1 else f"{one.id}-{one.content[:8]}" for one in claims]


def _picture(path: Path) -> bytes | None:
    return read_picture(path, MAX_PICTURE) if path.exists() else None


def _outcomes(row_id: str, record: Record, outcomes: Outcomes) -> str:
    """Per score and image one bit: what the comparison of two rows reads."""
    robust = scores(outcomes, budgets(record), when_clean_right=True)
    right = {_key(score): _packed(score) for score in (clean_score(outcomes), *robust)}
    about: Mapping[str, object] = {
        "data": record.data.hash,
        "subset": record.data.subset,
        "n": record.data.images,
        "right": right,
    }
    return script(f"outcomes_{row_id}", about)


def _key(score: Score) -> str:
    eps = "" if score.eps is None else str(score.eps)
    return "|".join([score.attack, score.access, score.norm, eps])


def _packed(score: Score) -> str:
    return base64.b64encode(np.packbits(score.right).tobytes()).decode()
