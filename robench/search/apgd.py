"""APGD as an attack of its own: whole climbs of one loss, from random starts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search.climb import Attacked, climb
from robench.search.losses import named_loss
from robench.search.target import Target


@dataclass(frozen=True, kw_only=True)
class ApgdSearch:
    """Auto-PGD (Croce & Hein, 2020, algorithm 1): the climb halves its own steps.

    Raises ConfigError for options out of range.
    """

    steps: int
    loss: str
    """A name of `LOSSES`."""
    targets: int = 0
    """Classes climbed to, the likeliest of the clean image first; 0: away from the label."""
    restarts: int = 1
    """Starts (for each class), all at random."""
    samples: int = 1
    """Evaluations averaged at each step (expectation over transformation)."""

    def __post_init__(self) -> None:
        named_loss(self.loss)
        if self.targets < 0:
            raise ConfigError(f"expected targets >= 0, got {self.targets}")
        for name in ("steps", "restarts", "samples"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected {name} > 0, got {getattr(self, name)}")

    def run(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
        radii: Tensor | None = None,
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W), on their device.

        `rng` is a CPU generator; `radii` (N,) give each image an eps of its own, at most the
        threat's. Candidates are legal under the threat, its grid included, so what
        is returned is what was judged. An image stops at its first candidate that the target gets
        wrong; of one that holds, the candidate of the highest margin is returned.
        """
        attacked = Attacked(target, images, labels, threat, self.samples, radii)
        ranked = attacked.gaps.argsort(1, descending=True)[:, :-1]
        # Class by class: an image that falls to the first spares the others theirs.
        aims = ranked[:, : self.targets].unbind(1) if self.targets else [None]
        for _ in range(self.restarts):
            index = attacked.index
            if len(index) == 0:
                break
            rows = index.repeat(len(aims))
            classes = [aim[index] for aim in aims if aim is not None]
            climb(
                attacked,
                rows,
                torch.cat(classes) if classes else None,
                lambda index: attacked.legal(index).draw(rng),
                named_loss(self.loss),
                self.steps,
            )
        return attacked.points.contiguous()
