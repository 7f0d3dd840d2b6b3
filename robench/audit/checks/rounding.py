"""Does float32 round the loss, and its gradient with it, away?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Rounding(Check):
    """Cross-entropy that is exactly 0 in float32 all along the usual attack.

    There the label's probability p is rounded to 1, so its part of the gradient at the logits,
    p - 1, which in float64 is as large as all others together, is gone, and the others too where
    they underflow. That alone may be confidence; it is masking where another search succeeds.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images without a whole gradient at any step, that anything tried since breaks."""
        reference = trial.reference
        rounded = (reference.losses == 0).all(0)
        part = float(rounded.float().mean()) if len(rounded) else 0.0
        yield share_finding(
            "saturated_gradients",
            rounded & ~trial.held[reference.index],
            len(rounded),
            suspect=0.05,
            part=f"{part:.0%}",
        )
