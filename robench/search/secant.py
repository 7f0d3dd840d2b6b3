"""Does a gradient predict finite differences? A bent one does not, however large it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.batches import SEARCHED, at_once
from robench.core.threat import Threat
from robench.search.climb import rows_at_once
from robench.search.gradient import finite, input_gradient, searching
from robench.search.square import Scores

Moves = Callable[[Tensor], Tensor]
"""Indices of images (N,) -> what is added to each, K times: (K, N, C, H, W)."""

PAIRS = 8
"""Random directions of each image, each cut into two halves."""
PART = 0.25
"""How far a secant reaches to either side, in parts of eps."""
PREDICTED = 0.9
"""Cosine from which on nobody asks whether the differences add up: a gradient predicts them."""


@dataclass(frozen=True)
class Secants:
    """What the differences of a deployed model's scores say of its twin's gradient, per image."""

    predicted: Tensor
    """How well the gradient predicts the differences: (N,) float32 in [-1, 1]."""
    additive: Tensor
    """How well the differences along two halves of a direction add up to the whole one's: (N,)
    float32 in [-1, 1], 1 where `predicted` is high. Where they do, the scores are smooth enough for
    a gradient to predict."""


def secant(
    twin: nn.Module,
    scores: Scores,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    rng: torch.Generator,
) -> Tensor:
    """How well the twin's gradient predicts the differences of `scores`: `Secants.predicted`."""
    return secants(twin, scores, images, labels, threat, rng).predicted


def secants(
    twin: nn.Module,
    scores: Scores,
    images: Tensor,
    labels: Tensor,
    threat: Threat,
    rng: torch.Generator,
) -> Secants:
    """Compare the twin's gradient with differences of `scores`, and these with each other.

    `predicted` is the cosine, over random directions, of g.(x' - x'') with f(x') - f(x''), where g
    is the twin's gradient of the margin to the label's nearest rival, f that margin by `scores`
    (the deployed model's logits), and x', x'' the image moved by +-eps / 4 along the direction and
    brought back to legal pixel values (under a grid, to its levels, and by one at least).
    Directions are signs (Linf) or Gaussian of length 1 (L2), on a random half of the pixels and on
    the other; `additive` compares the sum of the two with what both at once change, where
    `predicted` is below PREDICTED. Both are 0 where the gradient or the differences vanish. Images
    are float32 in [0,1], `rng` is a CPU generator. Raises ConfigError for a threat without eps.
    """
    if threat.eps is None:
        raise ConfigError("expected a threat with eps, got none; give the attack one")
    if len(images) == 0:
        return Secants(images.new_zeros(0), images.new_zeros(0))
    with torch.no_grad():
        rivals = nearest_rivals(scores(images), labels)
    gradient = _gradient(twin, images, labels, rivals)
    reach = reach_of(threat, images[0].numel())

    def difference(moves: Moves, which: Tensor) -> tuple[Tensor, Tensor]:
        """What the gradient predicts along K moves of each image, and what the scores say.

        Both answers are (K, N); the moves of a few images are made at a time.
        """
        few = which.split(max(at_once(images.shape[1:], SEARCHED) // (2 * PAIRS), 1))
        foretold, found = zip(*(along(moves(part), part) for part in few), strict=True)
        return torch.cat(foretold, 1), torch.cat(found, 1)

    def along(deltas: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        at = which.repeat(len(deltas))
        moves = deltas.flatten(0, 1)
        ahead, behind = legal(images[at] + moves, threat), legal(images[at] - moves, threat)
        foretold = (gradient[at] * (ahead.double() - behind.double())).flatten(1).sum(1)
        points, own = torch.cat([ahead, behind]), at.repeat(2)
        with torch.no_grad():
            answers = torch.cat([scores(part) for part in points.split(rows_at_once(images))])
        margins = gap(answers, labels[own], rivals[own]).double()
        found = margins[: len(at)] - margins[len(at) :]
        return foretold.view(len(deltas), -1), found.view(len(deltas), -1)

    wholes = reach * torch.stack([direction(images, threat.norm, rng) for _ in range(PAIRS)])
    masks = (torch.rand(wholes.shape, generator=rng) < 0.5).to(images.device)

    def halves(which: Tensor) -> Tensor:
        whole, mask = wholes[:, which], masks[:, which]
        return torch.cat([whole * mask, whole * ~mask])

    everywhere = torch.arange(len(images), device=images.device)
    foretold, found = difference(halves, everywhere)
    predicted, additive = _cosine(foretold, found), torch.ones_like(labels, dtype=torch.float64)
    doubtful = (predicted < PREDICTED).nonzero()[:, 0]
    if len(doubtful):
        sums = (found[:PAIRS] + found[PAIRS:])[:, doubtful]
        additive[doubtful] = _cosine(sums, difference(lambda which: wholes[:, which], doubtful)[1])
    return Secants(predicted.float(), additive.float())


def nearest_rivals(logits: Tensor, labels: Tensor) -> Tensor:
    """The wrong class nearest to winning: int64 (N,)."""
    return logits.scatter(1, labels[:, None], float("-inf")).argmax(1)


def gap(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """The rival's logit minus the label's: (N,)."""
    difference = logits.gather(1, rivals[:, None]) - logits.gather(1, labels[:, None])
    return difference[:, 0]


def _gradient(twin: nn.Module, images: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    parts = (each.split(rows_at_once(images)) for each in (images, labels, rivals))
    found = []
    with searching(twin):
        for few, true, wrong in zip(*parts, strict=True):
            leaf = few.detach().clone().requires_grad_()
            found.append(finite(input_gradient(gap(twin(leaf), true, wrong), leaf)).double())
    gradient = torch.cat(found)
    # Only directions are compared: scaling keeps the squares of tiny gradients above underflow.
    largest = gradient.abs().flatten(1).amax(1).clamp_min(torch.finfo(torch.float64).tiny)
    return gradient / largest.view(-1, *[1] * (images.dim() - 1))


def reach_of(threat: Threat, pixels: int) -> float:
    """How far a secant reaches to either side, in [0,1] pixels or in L2."""
    # Less than a level of an 8-bit pixel would be rounded away, by us or by the model itself.
    least = (1.0 if threat.norm == "linf" else math.sqrt(pixels)) / 255 if threat.grid else 0.0
    return max(PART * (threat.eps or 0.0), least)


def direction(images: Tensor, norm: str, rng: torch.Generator) -> Tensor:
    """Random signs (Linf), or Gaussian of length 1 (L2): the shape of `images`."""
    noise = torch.randn(images.shape, generator=rng)
    if norm == "linf":
        noise = noise.sign()
    else:
        noise /= noise.flatten(1).norm(dim=1).view(-1, *[1] * (images.dim() - 1)).clamp_min(1e-12)
    return noise.to(device=images.device, dtype=images.dtype)


def legal(images: Tensor, threat: Threat) -> Tensor:
    """Images brought back to legal pixel values, under a grid to its levels."""
    inside = images.clamp(0, 1)
    return (inside * 255).round() / 255 if threat.grid else inside


def _cosine(predicted: Tensor, measured: Tensor) -> Tensor:
    """Of two (K, N), over the first dimension; 0 where either vanishes or is not finite."""
    lengths = predicted.square().sum(0).sqrt() * measured.square().sum(0).sqrt()
    cosine = (predicted * measured).sum(0) / lengths
    return cosine.nan_to_num(0.0, 0.0, 0.0).clamp(-1, 1)
