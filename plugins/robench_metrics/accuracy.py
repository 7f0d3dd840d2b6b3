"""Accuracy: clean, under each attack in both conventions, and the worst case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import robench

if TYPE_CHECKING:
    from robench.core.outcomes import Score


@dataclass(frozen=True, kw_only=True)
class Accuracy(robench.Metric):
    """Shares of right images with Wilson 95 % intervals."""

    reads: ClassVar[Literal["outcomes", "deployed", "models"]] = "outcomes"

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Clean, attacked, robust and worst-case accuracy, and abstentions where there are any."""
        from robench.core.outcomes import clean_score, scores, worst_cases

        outcomes, budgets = evidence.outcomes, evidence.budgets
        yield _value("clean_accuracy", clean_score(outcomes))
        for score in scores(outcomes, budgets, when_clean_right=False):
            yield _value("attacked_accuracy", score)
        for score in scores(outcomes, budgets, when_clean_right=True):
            yield _value("robust_accuracy", score)
        for score in worst_cases(outcomes, budgets):
            yield _value("worst_case_accuracy", score)
        yield from _abstentions(evidence)


def _value(metric: str, score: Score) -> robench.Value:
    low, high = score.interval
    axes = {"attack": score.attack, "access": score.access, "norm": score.norm, "eps": score.eps}
    return robench.Value(
        metric=metric,
        value=score.value,
        low=low,
        high=high,
        n=len(score.right),
        unit="share",
        axes={} if metric == "clean_accuracy" else axes,
    )


def _abstentions(evidence: robench.Evidence) -> Iterable[robench.Value]:
    from robench.base.stats import wilson

    for (attack, access), part in evidence.outcomes.groupby(["attack", "access"], sort=False):
        abstained = int((part.prediction == robench.ABSTAIN).sum())
        if abstained:
            low, high = wilson(abstained, len(part))
            yield robench.Value(
                metric="abstention",
                value=abstained / len(part),
                low=low,
                high=high,
                n=len(part),
                unit="share",
                better="lower",
                axes={"attack": str(attack), "access": str(access)},
            )
