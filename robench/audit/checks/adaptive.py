"""Does a defense fall to the attack that knows it?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from robench.audit.contest import contest
from robench.audit.judge import target
from robench.audit.verdict import share_finding
from robench.base.seeds import generator, seed_scope
from robench.core.record import Finding
from robench.plugin import guest
from robench.plugin.components import Check
from robench.plugin.trial import Attacker, Trial


@dataclass(frozen=True, kw_only=True)
class Adaptive(Check):
    """The attack that a defense brings against itself (Tramer et al., 2020)."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy that searches which know nothing leave minus the adaptive attack's."""
        for name, attack in trial.adaptive.items():
            yield contest(
                trial,
                "adaptive",
                f"adaptive {name}",
                partial(_search, trial, name, attack),
                defense=name,
            )
        if not trial.adaptive:
            yield share_finding("adaptive", 0, 0, suspect=1.0)


def _search(trial: Trial, name: str, attack: Attacker, index: Tensor) -> Tensor:
    images, labels = trial.images[index], trial.labels[index]
    judged = target(guest.own_twin(trial.system), trial.system.deployed, trial.randomised)
    rng = generator(trial.seed, "audit", "adaptive", name)
    with seed_scope(int(torch.randint(2**31, (), generator=rng))):
        raw = guest.search(attack, judged, images, labels, trial.threat, rng)
    return trial.threat.project(raw, images)
