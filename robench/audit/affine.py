"""Affine networks, whose worst candidate in a ball has a closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.core.batches import ASKED, parts
from robench.core.threat import Threat
from robench.search import Scores

PROBES = 8
"""Pairs of random images on whose middles a network must be the mean."""
CLOSE = 1e-4
"""Difference of logits that float32 excuses, in units of their spread."""
BISECTIONS = 60
ROWS = 256


@dataclass(frozen=True)
class Affine:
    """Logits as weight times pixels plus bias, in float64."""

    weight: Tensor
    """(classes, pixels)."""
    bias: Tensor
    """(classes,)."""

    def __call__(self, images: Tensor) -> Tensor:
        """Logits of images (N, C, H, W): (N, classes)."""
        return images.flatten(1).double() @ self.weight.T + self.bias


def affine_map(scores: Scores, images: Tensor, rng: torch.Generator) -> Affine | None:
    """A network's weight and bias, or None where it is not affine on [0,1]; `images` also test it.

    One call shows that most networks are not; an affine one is asked once a pixel.
    """
    shape = images.shape[1:]
    ends = torch.rand((2, PROBES, *shape), generator=rng)
    corners = torch.cat([ends[0], ends[1], ends.mean(0), torch.zeros(1, *shape)])
    logits = scores(corners).double()
    one, other, middle = logits[:-1].chunk(3)
    spread = float(logits.std(0).mean())
    if not spread > 0 or _apart(middle, (one + other) / 2, spread):
        return None
    count = images[0].numel()
    runs = parts(count, shape, ASKED, ROWS)
    answers = torch.cat([scores(_units(at, count).view(-1, *shape)).double() for at in runs])
    network = Affine((answers - logits[-1]).T.contiguous(), logits[-1])
    return None if _apart(network(images), scores(images).double(), spread) else network


def _units(at: slice, count: int) -> Tensor:
    """Those rows of the unit matrix of `count` rows, which itself may be larger than memory."""
    return torch.zeros(at.stop - at.start, count).fill_diagonal_(1.0).roll(at.start, 1)


def _apart(a: Tensor, b: Tensor, spread: float) -> bool:
    return not bool(((a - b).abs() <= CLOSE * spread).all())


def worst_case(
    network: Affine, images: Tensor, labels: Tensor, threat: Threat
) -> tuple[Tensor, Tensor]:
    """The worst legal candidate of each image, and which images surely hold: bool (N,).

    Without a grid, and in Linf with one too, every image holds or falls; in L2 with a grid the
    candidate is the best one's neighbour, and an image between the two is in neither.
    """
    found, best = images.clone(), torch.full(labels.shape, -torch.inf, dtype=torch.float64)
    reach = best.clone()
    own = network.weight[labels]
    for rival, weight in enumerate(network.weight):
        direction = (weight - own).view(images.shape)
        free = images + _steepest(direction, images, threat)
        legal = threat.project(free.float(), images)
        for points, margins in ((free, reach), (legal, best)):
            logits = network(points)
            margin = logits[:, rival] - logits.gather(1, labels[:, None])[:, 0]
            better = (margin > margins) & (labels != rival)
            margins[better] = margin[better]
            if points is legal:
                found[better] = legal[better]
    spread = float(network(images).std())
    return found, reach < -CLOSE * spread


def _steepest(direction: Tensor, images: Tensor, threat: Threat) -> Tensor:
    """The perturbation in the ball and the pixel range that goes farthest in a direction."""
    assert threat.eps is not None
    low, high = -images.double(), 1 - images.double()
    if threat.norm == "linf":
        eps = int(255 * threat.eps + 1e-3) / 255 if threat.grid else threat.eps
        return (direction.sign() * eps).clamp(low, high)
    shape = (-1, *[1] * (images.dim() - 1))
    scale = direction.flatten(1).norm(dim=1).clamp_min(1e-12)
    small, large = torch.zeros_like(scale), 1e6 / scale
    for _ in range(BISECTIONS):
        middle = (small + large) / 2
        length = (direction * middle.view(shape)).clamp(low, high).flatten(1).norm(dim=1)
        inside = length <= threat.eps
        small, large = torch.where(inside, middle, small), torch.where(inside, large, middle)
    return (direction * small.view(shape)).clamp(low, high)
