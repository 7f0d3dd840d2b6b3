"""Does it help a network to remember what it was asked?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from robench.audit.contest import FAIL, SUSPECT
from robench.audit.unasked import NotCopied, Unasked
from robench.audit.verdict import difference, share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import System, module_device
from robench.plugin import guest
from robench.plugin.components import Check
from robench.plugin.trial import Trial

if TYPE_CHECKING:
    from robench.audit.trial import SystemTrial

REMEMBERS = "remembers"
"""Its name among the findings."""
NEW = 20
"""Mirrored images that are asked to see whether the system takes in what is new to it."""


@dataclass(frozen=True, kw_only=True)
class Memory(Check):
    """Attacked images asked of the system, and of a copy that was never asked anything.

    Only where questions change what the system's code can reach. Where no answer changes with it,
    as of a network that counts calls or keeps statistics, it passes. Unless it is randomised it is
    audited as a stranger meets it from then on.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy of the system on the same images minus that of the copy."""
        # One of the audit's own: nobody else may begin a trial again.
        trial = cast("SystemTrial", trial)
        _ = trial.reference
        # Somebody may have asked about the test images before the audit; hardly about these.
        trial.system.deployed.predict(trial.images[:NEW].flip(3))
        if trial.unasked is not None and not trial.unasked.changed():
            return
        try:
            yield _compared(trial, trial.unasked)
        except NotCopied:
            yield share_finding(REMEMBERS, 0, 0, suspect=1.0)


def _compared(trial: SystemTrial, unasked: Unasked | None) -> Finding:
    """What the system and the copy answer to the same candidates, one answer each.

    They are those of the usual attack on both, around images and mirrored ones; a randomised copy
    draws the same again and again, so that candidates made on it would fit its draws. Raises
    NotCopied.
    """
    if unasked is None:
        raise NotCopied
    used, strange = trial.system, unasked.forgetting()
    images = torch.cat([trial.images, trial.images.flip(3)])
    labels = torch.cat([trial.labels, strange.deployed.predict(images[len(trial) :])])
    before, after = (system.deployed.predict(images) == labels for system in (used, strange))
    for attacked in (used,) if trial.randomised else (used, strange):
        candidates = _candidates(trial, attacked, images, labels)
        before &= used.deployed.predict(candidates) == labels
        after &= strange.deployed.predict(candidates) == labels
    if not trial.randomised:
        trial.start_over(strange)
    return difference(REMEMBERS, before, after, suspect=SUSPECT, fail=FAIL)


def _candidates(trial: SystemTrial, system: System, images: Tensor, labels: Tensor) -> Tensor:
    rng, device = generator(trial.seed, "audit", REMEMBERS), module_device(system.twin)
    given = images.to(device).clone(), labels.to(device).clone()
    found = trial.usual.run(system.twin, *given, trial.threat, rng)
    return trial.threat.project(guest.plain_tensor(found, tuple(images.shape)), images)
