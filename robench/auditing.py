"""The audit step of a run: each threat once, its findings joined with the run's own rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.audit.checks import CHECKS
from robench.audit.trial import Trial
from robench.audit.verdict import above_clean, worst
from robench.components import Check
from robench.data import stratified
from robench.digest import code, digest
from robench.outcomes import CLEAN, Score, clean_score, scores
from robench.plugins import registry
from robench.record import Audit, Finding, Value, WeakAttack
from robench.seeds import derive, seed_scope
from robench.stats import Paired, paired, wilson
from robench.steps import Steps, named
from robench.threat import Threat

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from robench.evidence import Evidence

FLOAT_PARENT = "float parent"


@dataclass(frozen=True)
class Examined:
    """What the checks found out about a system under one threat, its rows left aside."""

    findings: tuple[Finding, ...]
    held: NDArray[np.bool_]
    """Which audited images are right clean and after everything tried."""
    randomised: bool


def audits(evidence: Evidence) -> tuple[tuple[Audit, ...], tuple[Value, ...]]:
    """Audit each (norm, eps) that the run attacks under: the audits and their values."""
    if evidence.steps.config.audit.level == "off":
        return (), ()
    found: list[Audit] = []
    values: list[Value] = []
    for (norm, eps), rows in _threats(evidence).items():
        audit, measured = _one(evidence, norm, eps, rows)
        found.append(audit)
        values += measured
    return tuple(found), tuple(values)


def _threats(evidence: Evidence) -> dict[tuple[str, float], list[Score]]:
    """The rows under each threat; noise and unlimited searches have none."""
    outcomes = evidence.outcomes
    noise = set(outcomes.attack[outcomes["search"] == "noise"])
    together: dict[tuple[str, float], list[Score]] = {}
    for row in scores(outcomes, evidence.budgets, when_clean_right=True):
        if row.eps and row.attack not in noise:
            together.setdefault((row.norm, row.eps), []).append(row)
    return together


def _one(evidence: Evidence, norm: str, eps: float, rows: list[Score]) -> tuple[Audit, list[Value]]:
    steps = evidence.steps
    threat = Threat(norm, eps, steps.config.threat.grid)
    index = subset(steps)
    examined = examine(steps, threat, index)
    held = np.logical_and.reduce([examined.held, *(row.right[index] for row in rows)])
    gained = [(row, paired(row.right[index], held)) for row in rows]
    findings = (*examined.findings, *_above_clean(evidence, threat))
    audit = Audit(
        norm=norm,
        eps=eps,
        level=steps.config.audit.level,
        n=len(held),
        verdict=worst(finding.verdict for finding in findings),
        findings=findings,
        weak_attacks=tuple(
            WeakAttack(
                attack=row.attack,
                access=row.access,
                gained=pair.difference,
                low=pair.low,
                high=pair.high,
            )
            for row, pair in gained
            if pair.low > 0
        ),
    )
    return audit, [_audited(held, norm, eps), *(_gained(row, pair) for row, pair in gained)]


def _audited(held: NDArray[np.bool_], norm: str, eps: float) -> Value:
    low, high = wilson(int(held.sum()), len(held))
    return Value(
        metric="audited_accuracy",
        value=float(held.mean()),
        low=low,
        high=high,
        n=len(held),
        unit="share",
        axes={"norm": norm, "eps": eps},
    )


def _gained(row: Score, pair: Paired) -> Value:
    return Value(
        metric="gained_by_masking",
        value=pair.difference,
        low=pair.low,
        high=pair.high,
        n=pair.n,
        unit="share",
        better="lower",
        axes={"attack": row.attack, "access": row.access, "norm": row.norm, "eps": row.eps},
    )


def subset(steps: Steps) -> torch.Tensor:
    """Which of the run's judged images are audited: positions, int64, seeded and stratified."""
    labels, count = steps.test.labels, steps.config.audit.count
    if count >= len(labels):
        return torch.arange(len(labels))
    return stratified(labels, count, np.random.default_rng(derive(steps.config.seed, "audit")))


def examine(steps: Steps, threat: Threat, index: torch.Tensor) -> Examined:
    """Run the level's checks, and those of plugins, on one system under one threat; cached."""
    checks = _checks(steps)
    inputs = {
        "data": steps.data.hash,
        "images": digest(steps.subset[index].tolist()),
        "threat": asdict(threat),
        "checks": [named(check) for check in checks],
        "seed": steps.config.seed,
        "code": code("robench.auditing"),
    }
    return steps.cached("audit", inputs, lambda: _examine(steps, threat, index, checks), _read)


def _checks(steps: Steps) -> tuple[Check, ...]:
    chosen = steps.config.audit
    foreign = [registry().get("check", name).make() for name in chosen.checks]
    return (*CHECKS[chosen.level], *(check for check in foreign if isinstance(check, Check)))


def _examine(
    steps: Steps, threat: Threat, index: torch.Tensor, checks: tuple[Check, ...]
) -> dict[str, Any]:
    test, seed = steps.test.take(index), derive(steps.config.seed, "audit", threat)
    with seed_scope(seed):
        trial = Trial(steps.system, test.float_images(), test.labels, threat, seed, _sources(steps))
        findings = [finding for check in checks for finding in check.look(trial)]
    return {
        "findings": [finding.model_dump() for finding in findings],
        "held": trial.held.tolist(),
        "randomised": trial.randomised,
    }


def _read(stored: dict[str, Any]) -> Examined:
    findings = tuple(Finding.model_validate(finding) for finding in stored["findings"])
    return Examined(findings, np.array(stored["held"], dtype=bool), stored["randomised"])


def _sources(steps: Steps) -> dict[str, Callable[[], nn.Module]]:
    if steps.system.twin is steps.trained:
        return {}
    return {FLOAT_PARENT: lambda: steps.trained}


def _above_clean(evidence: Evidence, threat: Threat) -> Iterator[Finding]:
    """Rows under which the model does better than without an attack, all judged images counted."""
    clean = clean_score(evidence.outcomes).right
    ball = set(evidence.outcomes.attack[evidence.outcomes["search"] == "ball"])
    for row in scores(evidence.outcomes, evidence.budgets, when_clean_right=False):
        mine = (row.norm, row.eps, row.access) == (threat.norm, threat.eps, "white_box")
        if mine and row.attack in ball and row.attack != CLEAN:
            yield above_clean(row.attack, paired(row.right, clean))
