"""Does accuracy fall with eps, and to about nothing when eps is everything?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Unbounded(Check):
    """The usual attack with no bound but the pixel range must reach almost every image."""

    images: int = 20
    """Images that are right clean; those that the usual attack breaks inside the ball count."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold although every pixel may be anything."""
        index = trial.reference.index[: self.images]
        holds = ~trial.reference.wrong[: self.images]
        far = 1.0 if trial.threat.norm == "linf" else trial.images[0].numel() ** 0.5
        free = replace(trial.threat, eps=far)
        found = trial.search("unbounded", trial.system.twin, trial.usual, index[holds], free)
        holds[holds.clone()] = ~trial.wrong(found, index[holds])
        yield share_finding(
            "unbounded_eps",
            holds,
            len(index),
            suspect=0.1,
            fail=0.5,
        )
