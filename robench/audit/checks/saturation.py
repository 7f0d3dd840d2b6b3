"""Are the logits so far apart that float32 loses the loss?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from robench.audit.verdict import share_finding
from robench.core.record import Finding
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Saturation(Check):
    """Softmax saturated in float32: all probabilities but one are 0, and so is their gradient."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images whose clean cross-entropy gradient vanishes at the logits."""
        index = trial.reference.index
        if len(index) == 0:
            return
        with torch.no_grad():
            logits = forward(trial.system.twin, trial.images[index])
            others = logits.softmax(1).topk(2, dim=1).values[:, 1]
        saturated = others < torch.finfo(torch.float32).tiny
        yield share_finding(
            "saturated_logits",
            saturated,
            len(index),
            suspect=0.25,
        )
