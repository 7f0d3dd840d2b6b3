"""Attack certificates inside their own balls: each that breaks was false.

A certificate says that no change within its radius gives the smoothed classifier another label,
however it was come by: from votes, from one forward pass or from a surrogate. So it is attacked
here without asking how.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from robench.core.system import module_device
from robench.core.threat import Threat
from robench.search import Budget, StrongestSearch, Target
from robench.smoothing.bounds import FloatArray
from robench.smoothing.classifier import SmoothedDeployed, to_pixels
from robench.smoothing.prediction import decide_early, predict_early
from robench.smoothing.radius import ABSTAIN

Counts = NDArray[np.int64]

CONFIDENCE = 1e-9
"""A change breaks a certificate when Algorithm 2 gives another label at this alpha, ..."""
VOTES = 20_000
"""... by fresh votes, at most so many."""
LOOKED = 1_000
"""Votes at most behind each question that the search asks on its way."""
SAMPLES = 2
"""Evaluations of the twin, itself a mean over noisy copies, at each gradient. On digits 8 broke no
more certificates of an unsound certifier (18 of 50, against 17) in three times the time."""
RANKED = 200
"""Fresh votes that say which certificates reach furthest."""


@dataclass(frozen=True)
class Hit:
    """A certificate that broke, by its position among those attacked."""

    position: int
    found: int
    """The label of most votes after the change, never the certified one."""
    length2: int
    """The change's squared length, in squared 8-bit units."""
    votes: int
    draws: int
    pixels: NDArray[np.uint8]
    """The changed image, (C, H, W)."""


def nearest(
    deployed: SmoothedDeployed,
    pixels: NDArray[np.uint8],
    labels: Counts,
    radius2: Counts,
    most: int,
    seed: int,
) -> Counts:
    """Positions of the certificates that end nearest to where fresh votes say that the label does.

    At most so many of those with a radius above 0, the one that reaches furthest first: by its
    radius minus s * Phi^-1 of the label's share of `RANKED` votes, which is where the label of a
    half-space ends. A sound certificate ends before that, one that claims too much beyond. On
    digits, of a plug-in estimate by 30 votes, attacks broke 18 of the 50 that come first so, and 3
    of the 50 with the smallest radius.
    """
    from scipy import special

    rows = np.flatnonzero(radius2 > 0)
    if len(rows) == 0:
        return rows
    counts = deployed.votes(pixels[rows], seed).votes(np.arange(len(rows)), 0, RANKED)
    share = (counts[np.arange(len(rows)), labels[rows]] + 0.5) / (RANKED + 1)
    ends = 255 * float(deployed.noise.sigma) * special.ndtri(share)
    beyond: FloatArray = np.sqrt(radius2[rows]) - ends
    return rows[np.argsort(-beyond, kind="stable")[:most]]


def attack(
    deployed: SmoothedDeployed,
    twin: nn.Module,
    pixels: NDArray[np.uint8],
    labels: Counts,
    radius2: Counts,
    rng: torch.Generator,
    budget: Budget = "whole",
) -> list[Hit]:
    """Search each ball with the strongest search, in L2 on the 8-bit grid; the hits, in order.

    `pixels` (N, C, H, W); `labels` are the certified ones; `radius2` above 0, in squared 8-bit
    units. Votes judge on the way, and fresh ones at `CONFIDENCE` what was found in the end, whose
    squared length is compared with `radius2` as integers. Noise is seeded by torch's global
    generator.
    """
    if len(pixels) == 0:
        return []
    images, target = torch.from_numpy(pixels).float() / 255, torch.from_numpy(labels)
    radii = torch.from_numpy(radius2).double().sqrt().float() / 255
    search, device = StrongestSearch(budget=budget, samples=SAMPLES), module_device(twin)
    candidates = search.run(
        _target(deployed, twin),
        images.to(device),
        target.to(device),
        Threat("l2", float(radii.max())),
        rng,
        radii.to(device),
    )
    found = to_pixels(candidates.cpu())
    # Floats may put a change beyond the last integer length that the radius allows.
    found = np.where(_column(squared(found, pixels) <= radius2), found, pixels)
    return judged(deployed, pixels, found, labels, _seed())


def judged(
    deployed: SmoothedDeployed,
    pixels: NDArray[np.uint8],
    found: NDArray[np.uint8],
    labels: Counts,
    seed: int,
) -> list[Hit]:
    """The hits among changed images, by votes under the noise of `seed`; to abstain is no hit."""
    source, positions = deployed.votes(found, seed), np.arange(len(found))
    now, counts = decide_early(source, positions, VOTES, CONFIDENCE)
    lengths = squared(found, pixels)
    return [
        Hit(
            int(i),
            int(now[i]),
            int(lengths[i]),
            int(counts[i, now[i]]),
            int(counts[i].sum()),
            found[i],
        )
        for i in np.flatnonzero((now != labels) & (now != ABSTAIN))
    ]


def _target(deployed: SmoothedDeployed, twin: nn.Module) -> Target:
    """The twin's gradients, and the word of votes: another label than the certified one, surely."""

    def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
        source = deployed.votes(to_pixels(candidates.cpu()), _seed())
        now = predict_early(source, np.arange(len(candidates)), LOOKED, CONFIDENCE)
        other = (now != labels.cpu().numpy()) & (now != ABSTAIN)
        return torch.from_numpy(other).to(candidates.device)

    def scores(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = twin(images)
        return logits

    return Target(twin, wrong, scores, randomised=True)


def _seed() -> int:
    return int(torch.randint(2**62, ()))


def _column(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return flags.reshape(-1, 1, 1, 1)


def squared(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Counts:
    """Squared distances of 8-bit images, integers: shape (N,)."""
    changes = first.astype(np.int64) - second
    distances: Counts = (changes**2).reshape(len(first), -1).sum(1)
    return distances
