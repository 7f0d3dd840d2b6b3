"""Is the prediction random, and was that said?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.core.sentences import UNDECLARED
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Randomness(Check):
    """Two answers to the same images: a randomised model must say so, and is judged by many."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Suspect when a model that declares itself deterministic answers differently."""
        declared = trial.system.deployed.randomised
        yield share_finding(
            "random_prediction",
            trial.unstable,
            len(trial),
            suspect=1.0 if declared else 0.0,
            undeclared="" if declared else UNDECLARED,
        )
