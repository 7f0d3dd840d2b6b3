"""Columns of smoothed systems: certified accuracy, and predictions by vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robench.core.outcomes import Score
from robench.studies.runs import Column, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Certified(Column):
    """Certified accuracy at an L2 radius, over all certified images; abstaining is wrong."""

    radius: float = 0.0
    """In [0,1] pixels."""
    percentage: bool = False
    """Count every certificate, right or wrong (IntRS, Eq. 9)."""

    def score(self, run: Run) -> Score | None:
        """The images certified to the radius in a run; None when it certified nothing."""
        from robench.smoothing.thresholds import squared_target

        rows = run.table("certificates")
        if rows is None:
            return None
        certified = (rows.radius2 >= squared_target(self.radius)).to_numpy()
        right = (rows.prediction == rows.label).to_numpy()
        kept = certified if self.percentage else certified & right
        return Score("certified", "none", "l2", self.radius, kept)

    def images(self, run: Run) -> NDArray[np.int64]:
        """See Column."""
        return _numbers(run.table("certificates"))


@dataclass(frozen=True)
class Predicted(Column):
    """Predictions by a number of votes: right ones, or abstentions."""

    draws: int = 100
    abstained: bool = False

    def score(self, run: Run) -> Score | None:
        """The images predicted right in a run, or abstained on; None when it has no such votes."""
        rows = self._rows(run)
        if rows is None or rows.empty:
            return None
        kept = rows.prediction == (-1 if self.abstained else rows.label)
        return Score("predicted", "none", "", None, kept.to_numpy())

    def images(self, run: Run) -> NDArray[np.int64]:
        """See Column."""
        return _numbers(self._rows(run))

    def _rows(self, run: Run) -> Any:
        rows = run.table("predictions")
        return None if rows is None else rows[rows.draws == self.draws]


def _numbers(rows: Any) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = rows.image.to_numpy()
    return numbers
