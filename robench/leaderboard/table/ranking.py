"""Ranks with ties: rows that the images cannot tell apart share one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import numpy as np

from robench.base.stats import mcnemar, newcombe_unpaired
from robench.leaderboard.table.row import BoardRow

ALPHA = 0.05
"""A paired test below it separates two rows."""
UNRANKED = ("fail", "invalid", "at_chance")
"""Verdicts whose numbers are no claim, so they get no rank."""


def ranks(rows: Iterable[BoardRow]) -> dict[str, int | None]:
    """Row id -> rank, counted anew within each protocol; None for rows that make no claim, prove
    too little for one, or are disputed.

    Where a protocol has audited rows the audited accuracy ranks, and the others get no rank.
    From the best score downwards, a row shares the rank of the first row that holds it unless
    their images separate the two; then it opens the next rank.
    """
    found: dict[str, int | None] = {}
    for _, same in groupby(sorted(rows, key=_order), key=lambda row: row.protocol):
        group = list(same)
        leader, rank = None, 0
        found |= dict.fromkeys(row.id for row in group)
        for place, row in enumerate(_ranked(group), 1):
            if leader is None or _separated(leader, row):
                leader, rank = row, place
            found[row.id] = rank
    return found


def no_rank(row: BoardRow) -> str:
    """Why a row that has no rank has none."""
    if row.proof.disputed:
        return "it is disputed"
    if not row.proof.ranked:
        return "not all of it follows from what it stored"
    if row.verdict in UNRANKED:
        return "its numbers are no claim"
    return "it was not audited, others of its protocol were"


def _order(row: BoardRow) -> tuple[str, float, str]:
    return row.protocol, -row.score, row.id


def _ranked(group: list[BoardRow]) -> list[BoardRow]:
    proven = [row for row in group if row.proof.ranked]
    audited = any(row.audited for row in proven)
    return [
        row
        for row in proven
        if row.verdict not in UNRANKED and (row.audited is not None or not audited)
    ]


def _separated(first: BoardRow, second: BoardRow) -> bool:
    """Whether the first is better: by its audits, which look at few images, or on all images.

    Audits are compared by Newcombe's 95 % interval, all images by the exact McNemar test.
    """
    if first.audited is not None and newcombe_unpaired(*first.counts, *second.counts)[0] > 0:
        return True
    left, right = (np.frombuffer(row.right, np.uint8) for row in (first, second))
    only_first = int(np.bitwise_count(left & ~right).sum())
    only_second = int(np.bitwise_count(right & ~left).sum())
    return only_first > only_second and mcnemar(only_first, only_second) < ALPHA
