"""Does the loss rise along the usual attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

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
        float32 rounds the loss away, or its change, the margin stands for it: a network of huge
        logits still climbs, and so does one of tiny ones.
        """
        losses, margins = (
            values[: self.steps + 1] for values in (trial.reference.losses, trial.reference.margins)
        )
        stuck = (~_risen(losses, margins)).float().mean(0)
        yield share_finding(
            "loss_not_rising",
            round(float(stuck.sum())),
            len(stuck),
            suspect=0.33,
            fail=0.6,
            number=self.steps,
        )


def _risen(losses: Tensor, margins: Tensor) -> Tensor:
    """Which steps raised the loss, or the margin where the loss cannot tell: bool (steps, N)."""
    before, after, climbed = losses[:-1], losses[1:], margins[1:] > margins[:-1]
    # One unit in the last place of each of the two losses; none is finer than that of 1.
    resolution = torch.finfo(torch.float32).eps * (before.clamp_min(1) + after.clamp_min(1))
    blind = (after - before).abs() <= resolution
    return torch.where(blind, climbed, after > before) | ((after < ROUNDED) & climbed)
