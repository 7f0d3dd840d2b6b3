"""Do more steps or restarts of the usual attack still gain?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Effort(Check):
    """Cross-entropy with twice the steps and several starts: a smooth loss is soon exhausted."""

    restarts: int = 4
    """Starts of the longer attack."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that only the longer attack breaks."""
        search = replace(trial.ascent("cross_entropy"), steps=2 * trial.steps)
        index = (trial.clean & ~trial.tried["reference"]).nonzero()[:, 0]
        gained = 0
        for restart in range(self.restarts):
            found = trial.search(f"effort {restart}", trial.system.twin, search, index)
            wrong = trial.attempt("effort", found, index)
            gained, index = gained + int(wrong.sum()), index[~wrong]
        yield share_finding(
            "more_effort",
            gained,
            len(trial),
            suspect=0.15,
            number=self.restarts,
        )
