"""Does a smoother gradient beat the twin's own?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from robench.audit.checks.losses import tried_loss
from robench.audit.contest import contest, next_to_nothing, remember
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial

SMOOTHER = "the smoother twin"
"""Its name among the modules that did better than the twin's own gradient."""
LITTLE = 0.25
"""Share of images up to which little is left."""


@dataclass(frozen=True, kw_only=True)
class Smoother(Check):
    """The gradient led through rounding, saturation and cut graphs (BPDA)."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that the twin's own gradient leaves minus the smoother one's.

        A thrifty audit does not ask where next to nothing is left, nor where little is and the
        gradients are sound.
        """
        little = len(trial.left) <= LITTLE * len(trial) and trial.sound
        if trial.thrifty and (little or next_to_nothing(trial)):
            return
        twin = trial.smoother
        if twin is None:
            return
        before = trial.held.clone()
        yield contest(
            trial,
            "smoother_gradient",
            "smoother",
            partial(trial.search, "smoother", twin, trial.ascent(tried_loss(trial))),
        )
        remember(trial, "smoother", SMOOTHER, twin, before)
