"""Rows' documents and pictures as files of a few rows each, and all values as one table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from robench.core.record import Record
from robench.leaderboard.table.proof import uncertified
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site
from robench.leaderboard.table.values import header
from robench.leaderboard.write import downloads
from robench.leaderboard.write.collect import DOCUMENT, SPRITE
from robench.leaderboard.write.shards import pictures_script, row_shards, rows_script, shard_of
from robench.records.store import read


def row_files(site: Site, rows: Path) -> Iterator[tuple[str, str]]:
    """Paths and texts of what rows' pages read; `rows` holds what `collect` left of each."""
    shards = row_shards(len(site.rows))
    documents: dict[int, dict[str, str]] = {}
    sprites: dict[int, dict[str, bytes]] = {}
    for row in site.rows:
        shard = shard_of(row.id, shards)
        documents.setdefault(shard, {})[row.id] = (rows / row.id / DOCUMENT).read_text("utf-8")
        if (rows / row.id / SPRITE).exists():
            sprites.setdefault(shard, {})[row.id] = (rows / row.id / SPRITE).read_bytes()
    yield from (rows_script(shard, its) for shard, its in documents.items())
    yield from (pictures_script(shard, its) for shard, its in sprites.items())


def write_values(site: Site, rows: Path, out: Path) -> None:
    """Write all values to download."""
    columns = header({axis for row in site.rows for axis in row.axes})
    texts = (downloads.lines(_told(row, rows), row.proof.level, columns) for row in site.rows)
    downloads.write(columns, texts, out)


def _told(row: BoardRow, rows: Path) -> list[Record]:
    """The records whose values a row gives away."""
    fallen = any(one.counts for one in row.proof.breaks)
    found = (
        [read(rows / row.id)]
        if fallen
        else [
            Record.model_validate_json((rows / row.id / f"{number}.json").read_bytes())
            for number in range(len(row.members))
        ]
    )
    if row.proof.refuted:
        return [one.model_copy(update={"values": uncertified(one.values)}) for one in found]
    return found
