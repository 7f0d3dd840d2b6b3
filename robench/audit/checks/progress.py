"""Does the loss rise along the usual attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.trial import Trial
from robench.audit.verdict import share
from robench.components import Check
from robench.record import Finding


@dataclass(frozen=True, kw_only=True)
class Progress(Check):
    """An attack that cannot raise its own loss has no direction."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images whose cross-entropy never exceeds the start's by a thousandth."""
        losses = trial.reference.losses
        rose = losses[1:].amax(0) > 1.001 * losses[0] + 1e-12
        yield share(
            "loss_not_rising",
            ~rose,
            len(rose),
            "the loss does not rise along the usual attack on {share} of {n} images",
            suspect=0.05,
            fail=0.5,
        )
