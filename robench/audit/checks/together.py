"""Do all searches together beat the usual attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.audit.verdict import MUCH, missed_finding
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial

MOST = 0.5
"""MUCH in a full audit, where the strongest search counts too."""


@dataclass(frozen=True, kw_only=True)
class Together(Check):
    """Where gradients are fractured each search breaks other images, and none beats the rest."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that the usual attack leaves right and anything tried before breaks."""
        right = trial.clean & ~trial.tried["reference"]
        yield missed_finding(
            "together",
            by_checks(trial) if trial.thrifty else trial.clean & ~trial.held,
            right,
            much=MUCH if trial.thrifty else MOST,
        )


def by_checks(trial: Trial) -> Tensor:
    """Images that the checks' own searches broke, the strongest one aside: bool (N,).

    It breaks more than the usual attack does of any network, fractured or not.
    """
    searches = [broken for name, broken in trial.tried.items() if not name.startswith("strongest")]
    return trial.clean & torch.stack([torch.zeros_like(trial.clean), *searches]).any(0)
