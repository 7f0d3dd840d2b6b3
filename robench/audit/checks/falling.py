"""Does accuracy fall as eps grows?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from robench.audit.verdict import difference
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Falling(Check):
    """The usual attack in ever larger balls: each holds the smaller ones."""

    factors: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Radii in units of eps, growing."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The largest rise of accuracy from one radius to the next."""
        index = trial.reference.index
        if len(index) == 0:
            return
        holds = [self._holds(trial, index, factor) for factor in self.factors]
        rises = [
            difference(
                "rises_with_eps",
                larger,
                smaller,
                suspect=0.0,
                fail=0.05,
                number=f"{b:g}",
                second=f"{a:g}",
            )
            for a, b, smaller, larger in zip(
                self.factors, self.factors[1:], holds, holds[1:], strict=False
            )
        ]
        yield max(rises, key=lambda finding: finding.value or 0.0)

    @staticmethod
    def _holds(trial: Trial, index: torch.Tensor, factor: float) -> torch.Tensor:
        if factor == 1:
            return ~trial.reference.wrong
        threat = replace(trial.threat, eps=factor * trial.eps)
        found = trial.search(f"falling {factor}", trial.system.twin, trial.usual, index, threat)
        return ~trial.wrong(found, index)
