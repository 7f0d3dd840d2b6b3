"""Does another loss beat cross-entropy?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from robench.audit.contest import contest
from robench.audit.verdict import BENT
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


def tried_loss(trial: Trial) -> str:
    """The best loss tried on the twin: what other modules are searched with, lest a loss win."""
    return "margin" if "margin" in trial.tried else "cross_entropy"


@dataclass(frozen=True, kw_only=True)
class Losses(Check):
    """Losses that no scale or saturation hides (Carlini & Wagner, 2017; Croce & Hein, 2020)."""

    losses: tuple[str, ...] = ("margin",)
    """margin, dlr or both, in this order."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that cross-entropy leaves minus each other loss's.

        A thrifty audit leaves sound gradients to the strongest search, which has another loss too,
        and asks no other loss of a gradient that is another function's.
        """
        bent = any(f.check == BENT and f.verdict != "pass" for f in trial.findings)
        if trial.thrifty and (bent or trial.sound):
            return
        for loss in self.losses:
            search = partial(trial.search, f"{loss} loss", trial.system.twin, trial.ascent(loss))
            yield contest(trial, f"{loss}_loss", loss, search)
