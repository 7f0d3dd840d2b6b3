"""Does the loss rise along the usual attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial

ROUNDED = 1e-5
"""Cross-entropy below it moves in steps of 1.2e-7, or is 0, though its gradient is exact."""


@dataclass(frozen=True, kw_only=True)
class Progress(Check):
    """An attack that cannot raise its own loss has no direction."""

    steps: int = 4
    """First steps looked at."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The share of the first steps that do not raise cross-entropy, averaged over images.

        Half of the steps of a random walk do; later steps, at the ball's edge, say less. Where
        float32 rounds the loss away the margin stands for it: a confident network still climbs.
        """
        losses, margins = (
            values[: self.steps + 1] for values in (trial.reference.losses, trial.reference.margins)
        )
        risen = (losses[1:] > losses[:-1]) | ((losses[1:] < ROUNDED) & (margins[1:] > margins[:-1]))
        stuck = (~risen).float().mean(0)
        yield share_finding(
            "loss_not_rising",
            round(float(stuck.sum())),
            len(stuck),
            f"{{share}} of the usual attack's first {self.steps} steps do not raise its loss",
            suspect=0.33,
            fail=0.6,
        )
