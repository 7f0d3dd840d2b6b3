"""Accuracy: clean, under each attack in both conventions, and the worst case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import robench


@dataclass(frozen=True, kw_only=True)
class Accuracy(robench.Metric):
    """Shares of right images with Wilson 95 % intervals."""

    version: ClassVar[str] = "2"
    reads: ClassVar[Literal["outcomes", "deployed", "models"]] = "outcomes"

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Clean, attacked, robust and worst-case accuracy; abstentions where there are any, and the
        robust and worst-case accuracy with these counted as unbroken."""
        outcomes, budgets = evidence.outcomes, evidence.budgets
        yield _value("clean_accuracy", robench.clean_score(outcomes))
        for score in robench.scores(outcomes, budgets, when_clean_right=False):
            yield _value("attacked_accuracy", score)
        for score in robench.scores(outcomes, budgets, when_clean_right=True):
            yield _value("robust_accuracy", score)
        for score in robench.worst_cases(outcomes, budgets):
            yield _value("worst_case_accuracy", score)
        yield from _abstentions(outcomes)
        if any((row.prediction == robench.ABSTAIN).any() for row in outcomes.rows):
            lenient = robench.abstaining_as_right(outcomes)
            for score in (
                *robench.scores(lenient, budgets, when_clean_right=True),
                *robench.worst_cases(lenient, budgets),
            ):
                yield _value("unbroken_accuracy", score)


def _value(metric: str, score: robench.Score) -> robench.Value:
    axes = {} if metric == "clean_accuracy" else score.axes
    return robench.share(metric, score.right.sum(), len(score.right), axes)


def _abstentions(outcomes: robench.Outcomes) -> Iterable[robench.Value]:
    """Of each attack and access, all its eps together; an invalid one abstains as the clean one."""
    together: dict[tuple[str, str], list[int]] = {}
    for row in outcomes.rows:
        counts = together.setdefault((row.attack, row.access), [0, 0])
        counts[0] += int((row.prediction == robench.ABSTAIN).sum())
        counts[1] += len(row)
    for (attack, access), (abstained, n) in together.items():
        if abstained:
            axes = {"attack": attack, "access": access}
            yield robench.share("abstention", abstained, n, axes, better="lower")
