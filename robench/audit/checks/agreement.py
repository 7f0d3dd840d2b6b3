"""Does the twin compute what is deployed, under attack too?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Agreement(Check):
    """Examples that fool the twin must fool the deployed model, or the search is misled."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts examples of the usual attack that fool the twin alone."""
        reference = trial.reference
        if len(reference.index) == 0:
            return
        labels = trial.labels[reference.index]
        fooled = forward(trial.system.twin, reference.candidates).argmax(1) != labels
        yield share_finding(
            "twin_disagrees",
            fooled & ~reference.wrong,
            len(fooled),
            suspect=1.0 if trial.randomised else 0.05,
        )
