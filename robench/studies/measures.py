"""What the columns of a study's tables measure on a record's images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from robench.core.outcomes import Score
from robench.core.record import Record
from robench.records.support.votes import tested
from robench.studies.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Measure:
    """Clean accuracy, or that under an attack.

    Every attacked image counts by its attacked label alone, as the papers do.
    """

    label: str
    attack: str = ""
    """Empty: clean."""
    access: str = "white_box"
    eps: float | None = None
    """A minimum-norm attack's budget in [0,1] pixels; None for attacks of one eps."""

    def stands_in(self, record: Record) -> bool:
        """Whether a record has the measure's row, at whatever eps."""
        rows = {(row.attack, row.access) for row in record.rows}
        return not self.attack or (self.attack, self.access) in rows

    def score(self, run: Run) -> Score | None:
        """The images that are right in a run; None when it has no such row."""
        if not self.attack:
            return run.clean
        rows = [s for s in run.attacked if (s.attack, s.access) == (self.attack, self.access)]
        if self.eps is not None:
            rows = [s for s in rows if s.eps is not None and math.isclose(s.eps, self.eps)]
        return rows[0] if rows else None

    def images(self, run: Run) -> NDArray[np.int64]:
        """The numbers of the images that `score` is about, in its order."""
        return run.images


@dataclass(frozen=True, kw_only=True)
class Held(Measure):
    """What holds under a threat: right clean, under every row of it, and after its audit."""

    norm: str = "linf"
    size: float
    """Eps of the threat, in [0,1] pixels."""

    def stands_in(self, record: Record) -> bool:
        """Whether a record has rows of this threat."""
        return any(self._is(row.norm, row.eps) for row in record.rows)

    def score(self, run: Run) -> Score | None:
        """The images that hold in a run; None where it has no row of this threat."""
        there = [row.eps for row in run.record.rows if self._is(row.norm, row.eps)]
        if not there or there[0] is None:
            return None
        return Score("held", "any", self.norm, there[0], run.held(self.norm, there[0]))

    def _is(self, norm: str, eps: float | None) -> bool:
        return norm == self.norm and eps is not None and math.isclose(eps, self.size)


@dataclass(frozen=True)
class Certified(Measure):
    """Certified accuracy at an L2 radius, over all certified images; abstaining is wrong."""

    radius: float = 0.0
    """In [0,1] pixels."""
    percentage: bool = False
    """Count every certificate, right or wrong (IntRS, Eq. 9)."""

    def score(self, run: Run) -> Score | None:
        """The images certified to the radius in a run; None when it did not test this radius."""
        from robench.smoothing.thresholds import squared_target

        rows = run.table("certificates")
        if rows is None or not tested(run.record.config, self.radius):
            return None
        certified = (rows.radius2 >= squared_target(self.radius)).to_numpy()
        right = (rows.prediction == rows.label).to_numpy()
        kept = certified if self.percentage else certified & right
        return Score("certified", "none", "l2", self.radius, kept)

    def images(self, run: Run) -> NDArray[np.int64]:
        """See Measure."""
        return _numbers(run.table("certificates"))


@dataclass(frozen=True)
class Predicted(Measure):
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
        """See Measure."""
        return _numbers(self._rows(run))

    def _rows(self, run: Run) -> Any:
        rows = run.table("predictions")
        return None if rows is None else rows[rows.draws == self.draws]


def _numbers(rows: Any) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = rows.image.to_numpy()
    return numbers
