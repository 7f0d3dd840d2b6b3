"""Ranks with ties: rows of one named protocol that the images cannot tell apart share one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from robench.base.stats import mcnemar
from robench.leaderboard.table.row import BoardRow

ALPHA = 0.05
"""A paired test below it separates two rows."""
NO_CLAIM = ("masked", "invalid", "at_chance")
"""Words whose numbers are no claim, so they get no rank."""


def ranks(rows: Iterable[BoardRow]) -> dict[str, int | None]:
    """Row id -> rank by headline, counted anew within each protocol; None for open runs, rows that
    make no claim, prove too little for one, or are disputed.

    From the best score downwards, a row shares the rank of the first row that holds it unless
    their images separate the two; then it opens the next rank.
    """
    found: dict[str, int | None] = {}
    protocols: dict[str, list[BoardRow]] = {}
    for row in rows:
        found[row.id] = None
        if not no_rank(row):
            protocols.setdefault(row.key, []).append(row)
    for same in protocols.values():
        same.sort(key=lambda row: (-row.score, row.id))
        leader, rank = same[0], 1
        for place, row in enumerate(same, 1):
            if _separated(leader, row):
                leader, rank = row, place
            found[row.id] = rank
    return found


def no_rank(row: BoardRow) -> str:
    """Why a row has no rank; nothing where it has one."""
    if row.protocol is None:
        return f"an open run: {row.why_open}"
    if row.proof.disputed:
        return "it is disputed"
    if not row.proof.ranked:
        return "not all of it follows from what it stored"
    if not row.right:
        return row.missing
    # What is certified stands whatever an attack finds or fails to find.
    if row.word == "at_chance" or (row.radius is None and row.word in NO_CLAIM):
        return row.sentence
    return ""


def _separated(first: BoardRow, second: BoardRow) -> bool:
    """Whether the first is better on their images, by the exact McNemar test."""
    left, right = (np.frombuffer(row.right, np.uint8) for row in (first, second))
    only_first = int(np.bitwise_count(left & ~right).sum())
    only_second = int(np.bitwise_count(right & ~left).sum())
    return only_first > only_second and mcnemar(only_first, only_second) < ALPHA
