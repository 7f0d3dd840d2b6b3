"""Accuracy: clean, under each attack in both conventions, and the worst case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import robench


@dataclass(frozen=True, kw_only=True)
class Accuracy(robench.Metric):
    """Shares of right images with Wilson 95 % intervals."""

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Clean, attacked, robust and worst-case accuracy, and abstentions where there are any."""
        outcomes, budgets = evidence.outcomes, evidence.budgets
        yield _value("clean_accuracy", robench.clean_score(outcomes))
        for score in robench.scores(outcomes, budgets, when_clean_right=False):
            yield _value("attacked_accuracy", score)
        for score in robench.scores(outcomes, budgets, when_clean_right=True):
            yield _value("robust_accuracy", score)
        for score in robench.worst_cases(outcomes, budgets):
            yield _value("worst_case_accuracy", score)
        yield from _abstentions(evidence)


def _value(metric: str, score: robench.Score) -> robench.Value:
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
    for (attack, access), part in evidence.outcomes.groupby(["attack", "access"], sort=False):
        abstained = int((part.prediction == robench.ABSTAIN).sum())
        if abstained:
            low, high = robench.wilson(abstained, len(part))
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
