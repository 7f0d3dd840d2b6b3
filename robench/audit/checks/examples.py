"""Do the attacks find an adversarial example that is known to be there?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.audit.planted import Features, NoFeatures, Plant, features_of, plant
from robench.audit.verdict import share_finding
from robench.base.seeds import generator, seed_scope
from robench.core.record import Finding
from robench.core.sentences import PLANTED
from robench.core.system import forward, module_device
from robench.plugin import guest
from robench.plugin.components import Check
from robench.plugin.trial import Attacker, Trial
from robench.search.target import Target

SingleAttack = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""A planted twin, an image of shape (1, C, H, W) and its label 0 -> a candidate."""


@dataclass(frozen=True, kw_only=True)
class PlantedExamples(Check):
    """The active test of Zimmermann et al. (2022), for the usual attack and the run's own rows."""

    images: int = 20
    """Images in whose balls an example is planted."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The system is suspect where the usual attack misses most; a row that does is weak."""
        index = trial.reference.index[: self.images]
        if trial.randomised or len(index) < self.images / 2:
            return
        features = features_of(trial.system.twin, trial.images[index[:2]])
        if features is None:
            return
        with suppress(NoFeatures):
            yield from self._found(trial, features)

    def _found(self, trial: Trial, features: Features) -> Iterable[Finding]:
        plants = self._plants(trial, features)
        if len(plants) < self.images / 2:
            return
        yield _finding(trial, plants, PLANTED, "the usual attack", _usual(trial), 0.5)
        for name, attack in trial.attacks.items():
            yield _finding(trial, plants, f"{PLANTED}_{name}", name, _row(trial, attack), 1.0)

    def _plants(self, trial: Trial, features: Features) -> list[tuple[Tensor, Plant]]:
        rng = generator(trial.seed, "audit", "planted")
        chosen = trial.reference.index[: self.images].tolist()
        images = [trial.images[i : i + 1] for i in chosen]
        tries = [(image, plant(features, image, trial.threat, rng)) for image in images]
        return [(image, planted) for image, planted in tries if planted is not None]


def _finding(
    trial: Trial,
    plants: list[tuple[Tensor, Plant]],
    check: str,
    name: str,
    attack: SingleAttack,
    suspect: float,
) -> Finding:
    missed, label = 0, torch.zeros(1, dtype=torch.int64)
    for image, planted in plants:
        device = module_device(planted.twin)
        raw = attack(planted.twin, image.to(device), label.to(device))
        found = trial.threat.project(raw.detach().float().cpu(), image)
        missed += int(forward(planted.twin, found).argmax(1) == 0)
    return share_finding(check, missed, len(plants), suspect=suspect, attack=name)


def _usual(trial: Trial) -> SingleAttack:
    def attack(twin: nn.Module, image: Tensor, label: Tensor) -> Tensor:
        rng = generator(trial.seed, "audit", "planted", "usual")
        return trial.usual.run(twin, image, label, trial.threat, rng)

    return attack


def _row(trial: Trial, component: Attacker) -> SingleAttack:
    def attack(twin: nn.Module, image: Tensor, label: Tensor) -> Tensor:
        rng = generator(trial.seed, "audit", "planted", type(component).__name__)
        with seed_scope(trial.seed):
            own = guest.own_copy("the twin", twin).eval().requires_grad_(False)
            return guest.search(component, Target.of(own), image, label, trial.threat, rng)

    return attack
