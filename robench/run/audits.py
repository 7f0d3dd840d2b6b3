"""The audit step of a run: each threat once, its findings joined with the run's own rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.audit.best_row import best_row
from robench.audit.verdict import above_clean, settled
from robench.base.hashing import plain_options
from robench.base.stats import Paired, paired
from robench.core.outcomes import Score, clean_score, rows_by_threat, scores
from robench.core.record import Audit, Finding, Value, WeakAttack, worst
from robench.core.sentences import PLANTED
from robench.core.threat import Threat
from robench.plugin import guest
from robench.plugin.registry import registry
from robench.records.support.held import audited_value, gained_value
from robench.run.audit_files import Kept, keep
from robench.run.examination import Examined, examine, rejudged, subset
from robench.run.remaining import Searched, searched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.data import Split
    from robench.plugin.components import Attack
    from robench.plugin.scenario import AdversarialExamples, Scenario
    from robench.run.evidence import RunEvidence

MISSED = 0.1
"""Share of planted examples, at the interval's lower end, from which on a row is weak."""
STRONGEST = "strongest"
"""The attack whose search the audit runs itself."""


def audits(evidence: RunEvidence) -> tuple[tuple[Audit, ...], tuple[Value, ...]]:
    """Audit each (norm, eps) that the run attacks under: the audits and their values.

    Of a black box nothing can be said: no gradient could mislead there.
    """
    if evidence.stages.config.audit.level == "off" or evidence.stages.system.black_box:
        return (), ()
    found: list[Audit] = []
    values: list[Value] = []
    for (norm, eps), rows in rows_by_threat(evidence.outcomes, evidence.budgets).items():
        threat = Threat(norm, eps, evidence.stages.config.threat.grid)
        audit, measured = _one(_Audited(evidence, threat, rows), len(found))
        found.append(audit)
        values += measured
    return tuple(found), tuple(values)


def _one(audited: _Audited, number: int) -> tuple[Audit, list[Value]]:
    threat, level, kept = audited.threat, audited.level, audited.kept
    assert threat.eps is not None
    keep(audited.evidence, number, threat, kept)
    gained = [(row, paired(*audited.pair(row))) for row in audited.rows]
    named = {f"{row.attack} ({row.access})": audited.right(row) for row in audited.rows}
    examined = audited.examined
    findings = settled(
        (
            *examined.findings,
            *best_row(named, examined.alone, examined.checked, level),
            *_above_clean(audited.evidence, threat),
        ),
        thrifty=level == "quick",
    )
    audit = Audit(
        norm=threat.norm,
        eps=threat.eps,
        level=level,
        n=len(audited.index),
        verdict=worst(finding.verdict for finding in findings),
        findings=findings,
        weak_attacks=tuple(_weak(gained, findings)),
        seconds=audited.seconds,
    )
    value = audited_value(audit, int(kept.held.sum()), len(kept.held))
    return audit, [value, *(gained_value(row, pair) for row, pair in gained)]


@dataclass(frozen=True)
class _Audited:
    """A run under one threat: what the checks found on some images, and what is known of all."""

    evidence: RunEvidence
    threat: Threat
    rows: Sequence[Score]
    """Robust accuracies of the rows under it."""

    @property
    def level(self) -> str:
        """Quick or full."""
        return self.evidence.stages.config.audit.level

    @cached_property
    def index(self) -> torch.Tensor:
        """The images that the checks look at: positions, int64, ascending."""
        return subset(self.evidence.stages)

    @cached_property
    def examined(self) -> Examined:
        """What the checks found on these."""
        stages, attacks = self.evidence.stages, self.evidence.stages.config.attack
        names = [s.attack for s, _ in self._examples() if s.access == "white_box"]
        own: dict[str, Attack] = {name: attacks[name] for name in names}
        return examine(stages, self.threat, self.index, own, self._strongest)

    @cached_property
    def kept(self) -> Kept:
        """What is known of each image: of all, unless the run names how many are audited."""
        n, examined, index = len(self.evidence.test), self.examined, self.index.numpy()
        checked = np.zeros(n, dtype=bool)
        checked[index] = True
        clean = clean_score(self.evidence.outcomes).right.copy()
        clean[index] = examined.clean
        rows = np.logical_and.reduce([row.right for row in self.rows])
        rows[index] &= np.logical_and.reduce([self.right(row) for row in self.rows])
        held, found = rows.copy(), _kept_as(self.evidence.test, self.threat)
        held[index] &= examined.held
        found[self.index] = examined.found
        positions = np.arange(n)
        if self.evidence.stages.config.audit.images is not None:
            positions = index
        else:
            left, rest = self._left, self._rest
            held[left.numpy()] &= rest.held
            found[left] = rest.found
        at = torch.from_numpy(positions)
        return Kept(
            positions, checked[positions], clean[positions], rows[positions], held[positions],
            found[at], examined.randomised,
        )  # fmt: skip

    @property
    def seconds(self) -> float:
        """What both searches took when they were made."""
        alone = self.evidence.stages.config.audit.images is not None
        return self.examined.seconds + (0.0 if alone else self._rest.seconds)

    @cached_property
    def _left(self) -> torch.Tensor:
        """The images that the checks left aside and no row breaks: positions, int64."""
        mine = np.logical_and.reduce([row.right for row in self.rows])
        mine[self.index.numpy()] = False
        return torch.from_numpy(mine.nonzero()[0])

    @cached_property
    def _rest(self) -> Searched:
        twin = self._strongest is None
        return searched(self.evidence.stages, self.threat, self._left, self.examined, twin=twin)

    def right(self, row: Score) -> NDArray[np.bool_]:
        """Which of the checks' images a row leaves right, a randomised model asked many times."""
        if self.examined.randomised and row.eps is not None:
            for scenario, examples in self._examples():
                if (scenario.attack, scenario.access) == (row.attack, row.access):
                    wrong = rejudged(self.evidence.stages, examples, self.index)
                    return self.examined.clean & ~wrong
        result: NDArray[np.bool_] = row.right[self.index.numpy()]
        return result

    def pair(self, row: Score) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What a row and the audit leave right, on the same images.

        Of a randomised model these are the checks' alone, where each was judged by many answers.
        """
        if self.examined.randomised:
            mine = self.right(row) & row.right[self.index.numpy()]
            return mine, self.kept.held[self.kept.checked]
        return row.right[self.kept.positions], self.kept.held

    def _examples(self) -> Iterator[tuple[Scenario, AdversarialExamples]]:
        """The run's attacks inside this ball, with their examples."""
        for scenario, examples in self.evidence.examples:
            if scenario.search == "ball" and scenario.threat == self.threat:
                yield scenario, examples

    @cached_property
    def _strongest(self) -> AdversarialExamples | None:
        """What a white-box row found that is the audit's own search, or a longer one."""
        for scenario, examples in self._examples():
            component = self.evidence.stages.config.attack[scenario.attack]
            home = registry().home(type(component))
            own = home is not None and home.name == STRONGEST and guest.is_ours(component)
            whole = plain_options(component).get("budget") == "whole"
            if own and scenario.access == "white_box" and (whole or self.level == "quick"):
                return examples
        return None


def _kept_as(test: Split, threat: Threat) -> torch.Tensor:
    """The images as candidates in a threat are kept, to be written to."""
    return test.images.clone() if threat.grid else test.float_images()


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


def _above_clean(evidence: RunEvidence, threat: Threat) -> Iterator[Finding]:
    """Rows under which the model does better than without an attack, all judged images counted."""
    clean = clean_score(evidence.outcomes).right
    ball = {row.attack for row in evidence.outcomes.rows if row.search == "ball"}
    for row in scores(evidence.outcomes, evidence.budgets, when_clean_right=False):
        mine = (row.norm, row.eps, row.access) == (threat.norm, threat.eps, "white_box")
        if mine and row.attack in ball:
            yield above_clean(row.attack, paired(row.right, clean))
