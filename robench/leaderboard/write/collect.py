"""A row with everything that its page shows: of its own records alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from robench.base.arrow import pressed
from robench.base.turns import Steps
from robench.collection.values import stored
from robench.core.record import Record
from robench.leaderboard.read.twins import Settled
from robench.leaderboard.table.proof import uncertified
from robench.leaderboard.table.row import BoardRow, make_row
from robench.leaderboard.write.document import document
from robench.leaderboard.write.sprites import drawn


@dataclass(frozen=True)
class Made:
    """A row, and what is kept of it besides."""

    row: BoardRow
    document: bytes
    """What its page shows, as compressed JSON."""
    sprite: bytes | None
    """Pictures of its examples, where there are some."""
    told: str
    """Its values as rows of the store, as JSON, where they are not those of its records."""


def collect(settled: Settled, row_id: str) -> Steps[Made]:
    """Make a row and what its page shows; raises UserError."""
    pictured, sprite = drawn(settled.claims)
    row, record, outcomes = make_row(row_id, settled, pictured)
    yield
    raw = [claim.record for claim in settled.claims]
    text = document(row, record, raw, outcomes)
    yield
    return Made(row, pressed(text.encode("ascii")), sprite, _told(row, record, raw))


def _told(row: BoardRow, record: Record, raw: Iterable[Record]) -> str:
    """The values that a row gives away, where challenges or refuted certificates moved them."""
    fallen = any(one.counts for one in row.proof.breaks)
    if not fallen and not row.proof.refuted:
        return ""
    told = [record] if fallen else list(raw)
    if row.proof.refuted:
        told = [one.model_copy(update={"values": uncertified(one.values)}) for one in told]
    rows: list[dict[str, Any]] = [stored(one) for one in told]
    return json.dumps(rows)
