"""Rows that another row of the same threat beats: weak attacks, whatever the system is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from robench.base.stats import count, paired
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import AttackRow, Weaker

WHITE_BOX = "white_box"
Threat = tuple[str, float | None]
ONE_STEP = 1.0, 2.0
"""Gradients and queries an image of a one-step attack, at most: it is weak by design, and nobody
needs to be told."""


def weaker(
    rows: Sequence[AttackRow], outcomes: Outcomes, queries_only: Collection[str]
) -> Iterator[Weaker | None]:
    """Per row by how much the strongest other white-box search in its ball beats it, on its images.

    None where none surely does, for one-step attacks and those by `queries_only`, and where no row
    says what it cost, as in older records. A row whose cost alone is not counted is compared.
    """
    if all(row.gradients is None for row in rows):
        yield from (None for _ in rows)
        return
    balls = [_ball(row, outcomes) for row in rows]
    best = _strongest(filter(None, balls))
    for row, mine in zip(rows, balls, strict=True):
        if mine is None or row.attack in queries_only or _one_step(row):
            yield None
        else:
            yield _beaten(mine, best[row.norm, row.eps])


def _strongest(balls: Iterable[RowOutcomes]) -> dict[Threat, list[RowOutcomes]]:
    """Of each threat the strongest row and the strongest of another attack, by name where equal."""
    found: dict[Threat, list[RowOutcomes]] = {}
    for row in sorted(balls, key=lambda row: (count(row.robust), row.attack)):
        best = found.setdefault((row.norm, row.eps), [])
        if not best or (len(best) == 1 and best[0].attack != row.attack):
            best.append(row)
    return found


def _beaten(mine: RowOutcomes, best: Sequence[RowOutcomes]) -> Weaker | None:
    other = next((row for row in best if row.attack != mine.attack), None)
    if other is None:
        return None
    pair = paired(mine.robust, other.robust)
    if pair.low <= 0:
        return None
    return Weaker(than=other.attack, points=pair.difference, low=pair.low, high=pair.high)


def _one_step(row: AttackRow) -> bool:
    if not row.gradients or row.queries is None:
        return False
    return row.gradients <= ONE_STEP[0] and row.queries <= ONE_STEP[1]


def _ball(row: AttackRow, outcomes: Outcomes) -> RowOutcomes | None:
    if row.access != WHITE_BOX or row.status == "invalid":
        return None
    found = outcomes.find(row.attack, row.access, row.norm, row.eps)
    return found if found.search == "ball" else None
