"""Does another loss beat cross-entropy?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from robench.audit.trial import REFERENCE, Trial
from robench.audit.verdict import share
from robench.components import Check
from robench.record import Finding


@dataclass(frozen=True, kw_only=True)
class Losses(Check):
    """The margin of the logits, which no scale or saturation hides (Carlini & Wagner, 2017)."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that only the margin breaks, less those that only cross-entropy does."""
        index = trial.left
        search = replace(REFERENCE, loss="margin", samples=trial.samples)
        found = trial.search("margin", trial.system.twin, search, index)
        broken = trial.attempt("margin", found, index)
        yield share(
            "margin_loss",
            broken,
            len(trial),
            "the margin loss breaks {share} of {n} images that cross-entropy leaves right",
            suspect=0.05,
            fail=0.15,
        )
