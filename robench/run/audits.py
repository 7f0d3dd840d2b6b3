"""The audit step of a run: each threat once, its findings joined with the run's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from robench.audit.best_row import best_row
from robench.audit.verdict import above_clean, settled
from robench.base.stats import Paired, paired
from robench.core.outcomes import Score, clean_score, rows_by_threat, scores
from robench.core.record import Audit, Finding, Value, WeakAttack, share, worst
from robench.core.sentences import PLANTED
from robench.core.threat import Threat
from robench.records.support.values import AUDITED, GAINED
from robench.run.audit_files import keep
from robench.run.examination import Examined, examine, rejudged, subset

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from robench.plugin.components import Attack
    from robench.plugin.scenario import AdversarialExamples, Scenario
    from robench.run.evidence import RunEvidence

MISSED = 0.1
"""Share of planted examples, at the interval's lower end, from which on a row is weak."""


def audits(evidence: RunEvidence) -> tuple[tuple[Audit, ...], tuple[Value, ...]]:
    """Audit each (norm, eps) that the run attacks under: the audits and their values."""
    if evidence.stages.config.audit.level == "off":
        return (), ()
    found: list[Audit] = []
    values: list[Value] = []
    for (norm, eps), rows in rows_by_threat(evidence.outcomes, evidence.budgets).items():
        audit, measured = _one(evidence, len(found), norm, eps, rows)
        found.append(audit)
        values += measured
    return tuple(found), tuple(values)


def _one(
    evidence: RunEvidence, number: int, norm: str, eps: float, rows: list[Score]
) -> tuple[Audit, list[Value]]:
    stages = evidence.stages
    threat = Threat(norm, eps, stages.config.threat.grid)
    index = subset(stages)
    examined = examine(stages, threat, index, _attacks(evidence, threat))
    right = [_right(evidence, row, examined, index) for row in rows]
    under_rows = np.logical_and.reduce(right)
    keep(evidence, number, threat, index, examined, under_rows)
    held = examined.held & under_rows
    gained = [(row, paired(mine, held)) for row, mine in zip(rows, right, strict=True)]
    named = {f"{row.attack} ({row.access})": mine for row, mine in zip(rows, right, strict=True)}
    findings = settled(
        (
            *examined.findings,
            *best_row(named, examined.alone, examined.checked, stages.config.audit.level),
            *_above_clean(evidence, threat),
        )
    )
    audit = Audit(
        norm=norm,
        eps=eps,
        level=stages.config.audit.level,
        n=len(held),
        verdict=worst(finding.verdict for finding in findings),
        findings=findings,
        weak_attacks=tuple(_weak(gained, findings)),
    )
    audited = share(AUDITED, held.sum(), len(held), {"norm": norm, "eps": eps})
    return audit, [audited, *(_gained(row, pair) for row, pair in gained)]


def _examples(
    evidence: RunEvidence, threat: Threat
) -> Iterator[tuple[Scenario, AdversarialExamples]]:
    """The run's attacks inside the ball of a threat, with their examples."""
    for scenario, examples in evidence.examples:
        same = (scenario.threat.norm, scenario.threat.eps) == (threat.norm, threat.eps)
        if scenario.search == "ball" and same:
            yield scenario, examples


def _attacks(evidence: RunEvidence, threat: Threat) -> dict[str, Attack]:
    attacks = evidence.stages.config.attack
    names = [s.attack for s, _ in _examples(evidence, threat) if s.access == "white_box"]
    return {name: attacks[name] for name in names}


def _right(
    evidence: RunEvidence, row: Score, examined: Examined, index: torch.Tensor
) -> NDArray[np.bool_]:
    """Which audited images a row leaves right; a randomised model answers anew, many times."""
    if examined.randomised and row.eps is not None:
        for scenario, examples in _examples(evidence, Threat(row.norm, row.eps)):
            if (scenario.attack, scenario.access) == (row.attack, row.access):
                return examined.clean & ~rejudged(evidence.stages, examples, index)
    result: NDArray[np.bool_] = row.right[index.numpy()]
    return result


def _weak(
    gained: list[tuple[Score, Paired]], findings: tuple[Finding, ...]
) -> Iterator[WeakAttack]:
    planted = {finding.check: finding for finding in findings}
    for row, pair in gained:
        own = planted.get(f"{PLANTED}_{row.attack}") if row.access == "white_box" else None
        if pair.low > 0 or (own is not None and (own.low or 0.0) > MISSED):
            yield WeakAttack(
                attack=row.attack,
                access=row.access,
                gained=pair.difference,
                low=pair.low,
                high=pair.high,
                missed=own.value if own is not None else None,
            )


def _gained(row: Score, pair: Paired) -> Value:
    return Value(
        metric=GAINED,
        value=pair.difference,
        low=pair.low,
        high=pair.high,
        n=pair.n,
        unit="share",
        better="lower",
        axes=row.axes,
    )


def _above_clean(evidence: RunEvidence, threat: Threat) -> Iterator[Finding]:
    """Rows under which the model does better than without an attack, all judged images counted."""
    clean = clean_score(evidence.outcomes).right
    ball = {row.attack for row in evidence.outcomes.rows if row.search == "ball"}
    for row in scores(evidence.outcomes, evidence.budgets, when_clean_right=False):
        mine = (row.norm, row.eps, row.access) == (threat.norm, threat.eps, "white_box")
        if mine and row.attack in ball:
            yield above_clean(row.attack, paired(row.right, clean))
