"""Rows that another row of the same threat beats: weak attacks, whatever the system is."""

from __future__ import annotations

from collections.abc import Collection

from robench.base.stats import count, paired
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import AttackRow, Weaker

WHITE_BOX = "white_box"
ONE_STEP = 1.0, 2.0
"""Gradients and queries an image of a one-step attack, at most: it is weak by design, and nobody
needs to be told."""


def weaker(
    row: AttackRow,
    rows: Collection[AttackRow],
    outcomes: Outcomes,
    queries_only: Collection[str],
) -> Weaker | None:
    """By how much the strongest other white-box search in the row's ball beats it, on its images.

    None where none surely does, for one-step attacks and those by `queries_only`, and where no row
    says what it cost, as in older records. A row whose cost alone is not counted is compared.
    """
    mine = _ball(row, outcomes)
    if mine is None or row.attack in queries_only or _one_step(row):
        return None
    if all(other.gradients is None for other in rows):
        return None
    found = [
        (count(theirs.robust), other.attack, theirs)
        for other in rows
        if other.attack != row.attack and (other.norm, other.eps) == (row.norm, row.eps)
        if (theirs := _ball(other, outcomes)) is not None
    ]
    if not found:
        return None
    _, name, best = min(found, key=lambda one: one[:2])
    pair = paired(mine.robust, best.robust)
    if pair.low <= 0:
        return None
    return Weaker(than=name, points=pair.difference, low=pair.low, high=pair.high)


def _one_step(row: AttackRow) -> bool:
    if not row.gradients or row.queries is None:
        return False
    return row.gradients <= ONE_STEP[0] and row.queries <= ONE_STEP[1]


def _ball(row: AttackRow, outcomes: Outcomes) -> RowOutcomes | None:
    if row.access != WHITE_BOX or row.status == "invalid":
        return None
    found = outcomes.find(row.attack, row.access, row.norm, row.eps)
    return found if found.search == "ball" else None
