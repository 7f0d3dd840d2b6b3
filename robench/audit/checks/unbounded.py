"""Does accuracy fall with eps, and to about nothing when eps is everything?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor

from robench.audit.contest import failed
from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Unbounded(Check):
    """The usual attack with no bound but the pixel range must reach almost every image."""

    images: int = 20
    """Images that are right clean; those that the usual attack breaks inside the ball count."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that hold although every pixel may be anything.

        A thrifty audit does not search where so few hold in the ball that it could not matter, nor
        on what has failed already.
        """
        if trial.thrifty and failed(trial):
            return
        index = trial.reference.index[: self.images]
        holds = ~trial.reference.wrong[: self.images]
        for searched in (False, True):
            if searched:
                holds[holds.clone()] = ~_free(trial, index[holds])
            finding = share_finding(
                "unbounded_eps",
                holds,
                len(index),
                suspect=0.1,
                fail=0.5,
            )
            if trial.thrifty and finding.verdict == "pass":
                break
        if searched:
            yield finding


def _free(trial: Trial, index: Tensor) -> Tensor:
    """Which images the usual attack breaks with no bound but the pixel range."""
    far = 1.0 if trial.threat.norm == "linf" else trial.images[0].numel() ** 0.5
    threat = replace(trial.threat, eps=far)
    found = trial.search("unbounded", trial.system.twin, trial.usual, index, threat)
    return trial.wrong(found, index)
