"""First pass over the records: everything of a row that needs no other row."""

from __future__ import annotations

import shutil
from pathlib import Path

from robench.base.files import read_picture
from robench.leaderboard.read.intake import MAX_PICTURE
from robench.leaderboard.read.twins import Settled
from robench.leaderboard.table.row import BoardRow, Strip, make_row, strips
from robench.leaderboard.write.document import document
from robench.leaderboard.write.pages import compact
from robench.leaderboard.write.sprites import sprite
from robench.records.preview import PREVIEW
from robench.records.store import RECORD

DOCUMENT, SPRITE = "document.json", "sprite"


def collect(settled: Settled, row_id: str, place: Path) -> BoardRow:
    """Write the files of a row to the folder `place` and make the row.

    Raises UserError.
    """
    claims = settled.claims
    place.mkdir()
    for number, claim in enumerate(claims):
        shutil.copyfile(claim.folder / RECORD, place / f"{number}.json")
    drawn: list[Strip] = []
    pictures = []
    for claim in claims:
        if (claim.folder / PREVIEW).exists():
            its = list(strips(claim.outcomes))
            pictures.append((read_picture(claim.folder / PREVIEW, MAX_PICTURE), len(its)))
            drawn += its
    row, record, outcomes = make_row(row_id, settled, drawn)
    if pictures:
        (place / SPRITE).write_bytes(sprite(pictures))
    told = document(row, record, [claim.record for claim in claims], outcomes)
    (place / DOCUMENT).write_text(compact(told), encoding="utf-8")
    (place / RECORD).write_text(
        record.model_dump_json(indent=1, exclude_unset=True), encoding="utf-8"
    )
    return row
