"""What challenges take from a record: every image that somebody's examples broke."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from robench.base.errors import UserError
from robench.base.hashing import digest
from robench.base.text import one_line
from robench.core.outcomes import ABSTAIN, Outcomes, RowOutcomes, Score, worst_cases
from robench.core.record import Record, Value, share
from robench.core.threat import TOLERANCE
from robench.leaderboard.read.claims import Claim
from robench.records.challenges import Challenge
from robench.records.support.held import AUDIT_TABLE
from robench.records.tables import read_columns

WORST = "worst_case_accuracy"
AUDITED = "audited_accuracy"


@dataclass(frozen=True)
class Break:
    """What one challenge took from a record's worst case."""

    source: str
    date: str
    norm: str
    eps: float
    points: float
    """By how much the worst case fell, or would fall, in percentage points."""
    counts: bool
    """Whether it was verified, so that the numbers have fallen."""


def challenged(claim: Claim) -> tuple[Record, Outcomes]:
    """The record and its outcomes after all challenges, where they were verified with it.

    Each adds a row of outcomes at every threat that allows its examples. Raises UserError for
    images that the record does not have.
    """
    if not claim.challenges_count or not claim.challenges:
        return claim.record, claim.outcomes
    outcomes = _with(claim, claim.challenges)
    worst = {(one.norm, one.eps): one for one in worst_cases(outcomes, claim.record.budgets())}
    audits = _audits(claim)
    values = [_fallen(value, worst, audits, claim.challenges) for value in claim.record.values]
    return claim.record.model_copy(update={"values": tuple(values)}), outcomes


def breaks(claim: Claim) -> Iterator[Break]:
    """What each challenge takes by itself, at the smallest threat that allows its examples."""
    before: dict[str, list[Score]] = {}
    for score in worst_cases(claim.outcomes, claim.record.budgets()):
        before.setdefault(score.norm, []).append(score)
    for scores in before.values():
        scores.sort(key=_size)
    for one in claim.challenges:
        scores = before.get(one.norm, [])
        least = bisect_left(scores, one.eps - TOLERANCE, key=_size)
        points = _taken(scores[least], one, claim.outcomes.clean) if least < len(scores) else 0.0
        source, date = one_line(one.source), one_line(one.date)
        yield Break(source, date, one.norm, one.eps, points, claim.challenges_count)


def _size(score: Score) -> float:
    return score.eps or 0.0


def _taken(before: Score, one: Challenge, clean: RowOutcomes) -> float:
    """What a challenge takes from a worst case, in percentage points."""
    after = before.right & _row(clean, one, before.norm, before.eps).robust
    return 100 * (before.value - replace(before, right=after).value)


def _allows(one: Challenge, norm: object, eps: object) -> bool:
    """Examples within one eps are within every larger one."""
    return norm == one.norm and isinstance(eps, float) and eps >= one.eps - TOLERANCE


def _with(claim: Claim, challenges: Sequence[Challenge]) -> Outcomes:
    known = [(s.norm, s.eps) for s in worst_cases(claim.outcomes, claim.record.budgets())]
    rows = [
        _row(claim.outcomes.clean, one, norm, eps)
        for one in challenges
        for norm, eps in known
        if _allows(one, norm, eps)
    ]
    return Outcomes((*claim.outcomes.rows, *rows))


def _row(clean: RowOutcomes, one: Challenge, norm: str, eps: float | None) -> RowOutcomes:
    """A challenge as outcomes: of others than the broken images nothing is known."""
    if not all(0 <= place < len(clean) for place in one.broken):
        source = one_line(one.source)
        raise UserError(f"expected broken images below {len(clean)}, got others of {source}")
    broken = np.isin(np.arange(len(clean)), one.broken)
    prediction = np.where(broken, ABSTAIN, clean.clean_prediction)
    return replace(
        clean,
        attack=f"challenge-{digest(one.model_dump())[:8]}",
        access="any",
        search="ball",
        norm=norm,
        eps=eps,
        prediction=prediction,
    )


def _fallen(
    value: Value,
    worst: dict[tuple[str, float | None], Score],
    audits: dict[Threat, Held],
    challenges: Sequence[Challenge],
) -> Value:
    norm, eps = value.axes.get("norm"), value.axes.get("eps")
    if not isinstance(norm, str) or not isinstance(eps, float):
        return value
    if value.metric == WORST and (score := worst.get((norm, eps))):
        return share(WORST, score.right.sum(), len(score.right), value.axes)
    if value.metric == AUDITED and (audit := audits.get((norm, eps))):
        allowed = [one for one in challenges if _allows(one, norm, eps)]
        broken = {place for one in allowed for place in one.broken}
        held = [stood and place not in broken for place, stood in audit]
        return share(AUDITED, sum(held), len(held), value.axes) if broken else value
    return value


Threat = tuple[str, float]
Held = list[tuple[int, bool]]
"""Position and whether it stood the audit, of each image that the audit judged."""


def _audits(claim: Claim) -> dict[Threat, Held]:
    path: Path = claim.folder / f"{AUDIT_TABLE}.parquet"
    if not path.is_file():
        return {}
    table = read_columns(path)
    columns = (table[name].tolist() for name in ("norm", "eps", "position", "held"))
    found: dict[Threat, Held] = {}
    for norm, eps, place, held in zip(*columns, strict=True):
        found.setdefault((norm, eps), []).append((place, held))
    return found
