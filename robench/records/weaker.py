"""Rows that another row of the same threat beats: weak attacks, whatever the system is."""

from __future__ import annotations

from collections.abc import Iterable

from robench.base.stats import paired
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import AttackRow, Weaker

WHITE_BOX = "white_box"
ONE_STEP = 1.0
"""Gradients an image of a one-step attack, which is weak by design: nobody needs to be told."""


def weaker(row: AttackRow, rows: Iterable[AttackRow], outcomes: Outcomes) -> Weaker | None:
    """By how much the strongest other white-box search in the row's ball beats it, on its images.

    None where none surely does, or where the row is no search by several gradients.
    """
    mine = _ball(row, outcomes)
    if mine is None or row.gradients is None or row.gradients <= ONE_STEP:
        return None
    found = [
        (int((theirs.right & theirs.clean_right).sum()), other.attack, theirs)
        for other in rows
        if other.attack != row.attack and (other.norm, other.eps) == (row.norm, row.eps)
        if (theirs := _ball(other, outcomes)) is not None
    ]
    if not found:
        return None
    _, name, best = min(found, key=lambda one: one[:2])
    pair = paired(mine.right & mine.clean_right, best.right & best.clean_right)
    if pair.low <= 0:
        return None
    return Weaker(than=name, points=pair.difference, low=pair.low, high=pair.high)


def _ball(row: AttackRow, outcomes: Outcomes) -> RowOutcomes | None:
    if row.access != WHITE_BOX or row.status == "invalid":
        return None
    found = outcomes.find(row.attack, row.access, row.norm, row.eps)
    return found if found.search == "ball" else None
