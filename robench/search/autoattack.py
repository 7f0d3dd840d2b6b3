"""AutoAttack: four attacks without settings, each on what the ones before it left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search.apgd import ApgdSearch
from robench.search.fab import FabSearch
from robench.search.square import SquareSearch
from robench.search.target import Target

STEPS, TARGETS, QUERIES = 100, 9, 5000

Part = Callable[[Target, Tensor, Tensor, Threat, torch.Generator], Tensor]


def _square(
    target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
) -> Tensor:
    return SquareSearch(queries=QUERIES).run(target.scores, images, labels, threat, rng)


def _apgd(loss: str, restarts: int = 1, samples: int = 1) -> Part:
    return ApgdSearch(steps=STEPS, loss=loss, restarts=restarts, samples=samples).run


_APGD_T: Part = ApgdSearch(steps=STEPS, loss="dlr", targets=TARGETS).run
_FAB_T: Part = FabSearch(steps=STEPS, targets=TARGETS).run

VARIANTS: dict[str, Sequence[Part]] = {
    "standard": (_apgd("cross_entropy"), _APGD_T, _FAB_T, _square),
    "plus": (
        _apgd("cross_entropy", restarts=5),
        _apgd("dlr", restarts=5),
        FabSearch(steps=STEPS, targets=0, restarts=5).run,
        _square,
        _APGD_T,
        _FAB_T,
    ),
    "rand": (_apgd("cross_entropy", samples=20), _apgd("dlr", samples=20)),
}


@dataclass(frozen=True, kw_only=True)
class AutoAttackSearch:
    """The ensemble of Croce & Hein (2020), section 5, with the parameters of its published code.

    `standard` is APGD on cross-entropy, APGD on the targeted DLR with 9 classes, FAB with 9 classes
    (100 steps each) and Square with 5,000 queries; `plus` adds five restarts of APGD, untargeted
    DLR and untargeted FAB; `rand` is APGD on cross-entropy and DLR with 20 evaluations a step, for
    randomised models. Data with fewer than ten classes have fewer targets. Square's schedule is
    scaled to its queries, which the published code leaves off. Raises ConfigError for an unknown
    variant.
    """

    variant: str

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            known = ", ".join(VARIANTS)
            raise ConfigError(f"expected variant to be one of {known}, got {self.variant!r}")

    def run(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W), on their device.

        `rng` is a CPU generator. Candidates are legal under the threat, its grid included, and
        those that the target gets wrong are kept.
        """
        found = threat.project(images, images)
        holds = ~target.wrong(found, labels)
        for number, part in enumerate(VARIANTS[self.variant]):
            if part is _square and target.queried:
                continue
            index = holds.nonzero()[:, 0]
            if len(index) == 0:
                break
            candidates = threat.project(
                part(target, images[index], labels[index], threat, rng), images[index]
            )
            wrong = target.wrong(candidates, labels[index])
            # Of an image that none breaks, the first attack's most wrong candidate is returned.
            kept = wrong | (number == 0)
            found[index[kept]] = candidates[kept]
            holds[index[wrong]] = False
        return found
