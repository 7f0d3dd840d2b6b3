"""Documents and pictures of rows in a bounded number of files, found from a row's id alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from robench.leaderboard.write.pages import compact, packed, script

PER_SHARD = 16
"""Rows that a file should hold."""
MOST = 256
"""Files of a kind at most."""


def row_shards(count: int) -> int:
    """How many files hold the documents of `count` rows: a power of two."""
    shards = 1
    while shards < MOST and shards * PER_SHARD < count:
        shards *= 2
    return shards


def shard_of(row_id: str, shards: int) -> int:
    """Which of them holds a row; `assets/data.js` computes the same."""
    return int(row_id[:8], 16) % shards


def rows_script(shard: int, documents: Mapping[str, str]) -> tuple[str, str]:
    """Path and text of a file of documents, which are JSON, by the ids of their rows."""
    texts = (f"{compact(name)}:{text}" for name, text in sorted(documents.items()))
    return packed(f"rows-{shard}", f"{{{','.join(texts)}}}")


def pictures_script(shard: int, sprites: Mapping[str, bytes]) -> tuple[str, str]:
    """Path and text of a file of sprites, by the ids of their rows."""
    texts = {name: base64.b64encode(one).decode() for name, one in sorted(sprites.items())}
    return script(f"pictures-{shard}", texts)
