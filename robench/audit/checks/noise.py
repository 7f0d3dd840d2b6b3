"""Does random noise do as well as the attack?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from robench.audit.contest import PROBE
from robench.audit.verdict import share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial


@dataclass(frozen=True, kw_only=True)
class RandomNoise(Check):
    """Random points on the sphere of the threat, against the usual attack."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """Counts images that noise breaks and the usual attack does not.

        Of a random system, which is asked many times of each, a thrifty audit tries the first ones.
        """
        reference = trial.reference
        n = PROBE if trial.thrifty and trial.randomised else len(reference.index)
        index = reference.index[:n][~reference.wrong[:n]]
        images = trial.images[index]
        noise = torch.randn(images.shape, generator=generator(trial.seed, "audit", "noise"))
        if trial.threat.norm == "linf":
            noise = noise.sign() * trial.eps
        else:
            noise *= trial.eps / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        broken = trial.attempt("noise", trial.threat.project(images + noise, images), index)
        yield share_finding(
            "noise",
            broken,
            len(reference.index[:n]),
            suspect=0.02,
            fail=0.1,
        )
