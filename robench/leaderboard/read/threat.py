"""The threat whose worst case ranks a record."""

from __future__ import annotations

from dataclasses import dataclass

from robench.core.record import Record


@dataclass(frozen=True)
class RankingThreat:
    """The norm and eps whose worst case ranks a row."""

    norm: str
    eps: float


def ranking_threat(record: Record) -> RankingThreat | None:
    """The strongest threat of the first norm that has a worst case; None where none has."""
    threats = [
        RankingThreat(str(value.axes.get("norm")), eps)
        for value in record.values
        if value.metric == "worst_case_accuracy" and isinstance(eps := value.axes.get("eps"), float)
    ]
    same = [threat for threat in threats if threat.norm == threats[0].norm]
    return max(same, key=lambda threat: threat.eps, default=None)
