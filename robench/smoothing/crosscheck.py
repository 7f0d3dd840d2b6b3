"""Attack certificates inside their own balls: each hit is a certificate that was false."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from robench.base.errors import RobenchError
from robench.core.system import module_device
from robench.core.threat import Threat, towards_grid
from robench.search import GradientSearch
from robench.smoothing.radius import ABSTAIN

CHANCE = 1e-6
"""The chance that a sound certifier is accused."""


class CertificateViolated(RobenchError):
    """More certificates were broken than chance allows."""


@dataclass(frozen=True)
class Hit:
    """A change inside a certified ball after which the smoothed classifier surely names another."""

    image: int
    label: int
    found: int
    radius2: int
    delta: NDArray[np.int64]
    """The change in 8-bit units, flat."""

    def __str__(self) -> str:
        changed = np.flatnonzero(self.delta)
        pixels = " ".join(f"{i}:{self.delta[i]:+d}" for i in changed)
        return (
            f"image {self.image}: label {self.label} certified for squared changes up to "
            f"{self.radius2}, label {self.found} after one of {int((self.delta**2).sum())} "
            f"(pixel:change) {pixels}"
        )


def attack_balls(
    twin: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    radius2: NDArray[np.int64],
    rng: torch.Generator,
    steps: int = 20,
) -> NDArray[np.uint8]:
    """L2 PGD on cross-entropy inside each image's own ball, its points on the 8-bit grid.

    `images` (N, C, H, W); `radius2` in squared 8-bit units, one an image. A smoothed twin averages
    over noise at each gradient (expectation over transformation). Every result is inside its ball.
    """
    clean, target = torch.from_numpy(images).float() / 255, torch.from_numpy(labels)
    radius = torch.from_numpy(radius2).double().sqrt().float() * (1 - 1e-6) / 255
    # Of a random twin the best iterate is a lucky one, so the last is kept.
    search = GradientSearch(steps=steps, step=2.5, random_start=True, best=False)
    device = module_device(twin)
    candidates = search.run(
        twin,
        clean.to(device),
        target.to(device),
        Threat("l2", None),
        rng,
        radius=radius.to(device),
    )
    found = towards_grid(candidates.cpu(), clean)
    pixels: NDArray[np.uint8] = (found * 255).round().to(torch.uint8).numpy()
    if (squared(pixels, images) > radius2).any():
        raise AssertionError("expected every change inside its ball")
    return pixels


def hits(
    numbers: NDArray[np.int64],
    images: NDArray[np.uint8],
    found: NDArray[np.uint8],
    labels: NDArray[np.int64],
    now: NDArray[np.int64],
    radius2: NDArray[np.int64],
) -> list[Hit]:
    """The broken certificates among attacked images: another label is given now; `numbers` name."""
    changes = (found.astype(np.int64) - images).reshape(len(images), -1)
    return [
        Hit(int(numbers[i]), int(labels[i]), int(now[i]), int(radius2[i]), changes[i])
        for i in np.flatnonzero((now != labels) & (now != ABSTAIN))
    ]


def squared(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Squared distances of 8-bit images, integers: shape (N,)."""
    changes = first.astype(np.int64) - second
    distances: NDArray[np.int64] = (changes**2).reshape(len(first), -1).sum(1)
    return distances


def allowed(certificates: int, alpha: float) -> int:
    """Hits that false certificates may make, each false with probability alpha at most."""
    from scipy import stats

    return int(stats.binom.isf(CHANCE, certificates, alpha))


def require_unbroken(hits: list[Hit], certificates: int, alpha: float) -> None:
    """Raise CertificateViolated with every hit when there are more than chance allows."""
    limit = allowed(certificates, alpha)
    if len(hits) > limit:
        shown = "\n".join(map(str, hits))
        raise CertificateViolated(
            f"expected at most {limit} of {certificates} certificates broken, got {len(hits)}; "
            f"no certificate of this system stands\n{shown}"
        )
