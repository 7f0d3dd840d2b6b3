"""Does a smoother gradient beat the twin's own?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from robench.audit.straight import Straight
from robench.audit.trial import REFERENCE, Trial
from robench.audit.verdict import share
from robench.components import Check
from robench.record import Finding


@dataclass(frozen=True, kw_only=True)
class Smoother(Check):
    """The margin, its gradient led through rounding, saturation and cut graphs (BPDA)."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold under the twin's own gradient and not under the smoother one."""
        index = trial.left
        search = replace(REFERENCE, loss="margin", samples=trial.samples)
        found = trial.search("smoother", Straight(trial.system.twin).eval(), search, index)
        yield share(
            "smoother_gradient",
            trial.attempt("smoother", found, index),
            len(trial),
            "a gradient led through rounding and saturation breaks {share} of {n} images that "
            "the twin's own gradient leaves right",
            suspect=0.03,
            fail=0.1,
        )
