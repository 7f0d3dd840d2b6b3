"""Does a file's own output stop the gradient?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.audit.contest import FAIL, NEVER, SUSPECT, remember
from robench.audit.trial import USUAL
from robench.audit.verdict import difference
from robench.base.stats import paired
from robench.core.record import Finding
from robench.core.sentences import SATURATES, twin_form
from robench.core.system import forward
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Saturates(Check):
    """The usual attack on further twins, whose gradients pass what stops the faithful one's.

    A toolchain that quantises the logits clips them, and where one stands at its ceiling the
    faithful twin has no gradient: attacks by it fail, and nobody who shipped the file meant it.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that the faithful twin alone leaves minus that of all twins together.

        Several searches always break more than one: the gap weighs where one of the other twins
        alone surely beats the faithful one.
        """
        others = trial.system.others
        if not others:
            return
        _ = trial.reference
        faithful = trial.alone[USUAL]
        together = faithful.clone()
        for name, twin in others.items():
            together &= ~_searched(trial, name, twin, together)
        gained = paired(faithful.numpy(), together.numpy()).low > SUSPECT
        saturates = gained and any(_beats(trial, faithful, *other) for other in others.items())
        limits = {"suspect": SUSPECT, "fail": FAIL} if saturates else NEVER
        yield difference(
            "saturates",
            faithful,
            together,
            **limits,
            whether=SATURATES[saturates],
            part=f"{_at_ceiling(trial):.0%}",
        )


def _searched(trial: Trial, name: str, twin: nn.Module, which: Tensor) -> Tensor:
    """Which of some images the usual attack on a twin breaks: bool (N,)."""
    form, before, index = twin_form(name), trial.held.clone(), which.nonzero()[:, 0]
    trial.attempt(form, trial.search(form, twin, trial.usual, index), index)
    remember(trial, form, form, twin, before)
    return trial.tried[form]


def _beats(trial: Trial, faithful: Tensor, name: str, twin: nn.Module) -> bool:
    """Whether the usual attack on one twin alone surely leaves less than on the faithful one."""
    form = twin_form(name)
    trial.alone[form] = trial.clean & ~_searched(trial, name, twin, trial.clean)
    return paired(faithful.numpy(), trial.alone[form].numpy()).low > 0


def _at_ceiling(trial: Trial) -> float:
    """The share of images on which a logit is the largest number that any logit is."""
    logits = getattr(trial.system.deployed, "logits", None)
    found = logits(trial.images) if logits else forward(trial.system.twin, trial.images)
    highest: Tensor = found.amax(1)
    return float((highest == torch.max(highest)).double().mean())
