"""Whether a row's number is a claim, and whether that claim has a rank."""

from __future__ import annotations

from robench.leaderboard.table.row import BoardRow

NO_CLAIM = ("masked", "invalid", "at_chance")
"""Words whose numbers are no claim, so they get no rank."""


def no_rank(row: BoardRow) -> str:
    """Why a row has no rank; nothing where it has one."""
    return f"an open run: {row.why_open}" if row.protocol is None else no_claim(row)


def no_claim(row: BoardRow) -> str:
    """Why a row's number is no claim; nothing where it is one."""
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
