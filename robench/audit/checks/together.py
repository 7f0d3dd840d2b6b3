"""Do all searches together beat the usual attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Together(Check):
    """Where gradients are fractured each search breaks other images, and none beats the rest."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that the usual attack leaves right and anything tried before breaks."""
        missed = trial.clean & ~trial.held & ~trial.tried["reference"]
        yield share_finding(
            "together",
            missed,
            len(trial),
            "all searches together break {share} of {n} images that the usual attack leaves right",
            suspect=0.05,
        )
