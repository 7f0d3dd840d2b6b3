"""Are there gradients at all?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Gradients(Check):
    """Gradients of cross-entropy that are exactly zero, NaN or infinite along the usual attack."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Without a gradient the usual attack says nothing about an image."""
        reference = trial.reference
        dead = (reference.zero == 1).all(0)
        pixels = float(reference.zero[0].mean()) if len(dead) else 0.0
        broken_pixels = float(reference.nonfinite.max(0).values.mean()) if len(dead) else 0.0
        yield share_finding(
            "zero_gradients",
            dead,
            len(dead),
            suspect=0.05,
            fail=0.5,
            part=f"{pixels:.0%}",
        )
        broken = (reference.nonfinite > 0).any(0)
        yield share_finding(
            "nonfinite_gradients",
            broken,
            len(broken),
            suspect=0.0,
            fail=0.5,
            part=f"{broken_pixels:.0%}",
        )
