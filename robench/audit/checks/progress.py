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

    steps: int = 4
    """First steps looked at."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The share of the first steps that do not raise cross-entropy, averaged over images.

        Half of the steps of a random walk do; later steps, at the ball's edge, say less.
        """
        losses = trial.reference.losses[: self.steps + 1]
        stuck = (losses[1:] <= losses[:-1]).float().mean(0)
        yield share(
            "loss_not_rising",
            round(float(stuck.sum())),
            len(stuck),
            f"{{share}} of the usual attack's first {self.steps} steps do not raise its loss",
            suspect=0.33,
            fail=0.6,
        )
