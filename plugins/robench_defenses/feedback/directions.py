"""Banks of directions along which feedback learning looks for the decision boundary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from robench import Threat, forward, module_device
from robench.search import GradientSearch

if TYPE_CHECKING:
    from torch import Tensor, nn

STEP = 2.0
"""Length of a path, were it straight, in radii of its ball: more finds nearer boundaries."""
BATCH = 250
"""Paths followed at once."""


def random_bank(shape: tuple[int, ...], count: int, norm: str, rng: torch.Generator) -> Tensor:
    """Random orthonormal directions of an image shape, then scaled to length 1 in `norm`.

    Shape (count, *shape); an image of fewer than `count` pixels has only as many directions.
    """
    pixels = torch.Size(shape).numel()
    basis = torch.linalg.qr(torch.randn(pixels, min(count, pixels), generator=rng)).Q
    return scaled(basis.T.reshape(-1, *shape), norm)


def gradient_bank(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    targets: int,
    steps: int,
    reach: float,
    norm: str,
) -> Tensor:
    """Directions from images (N, C, H, W) towards their likeliest other classes: (N, D, C, H, W).

    For each of `targets` classes j, PGD from the image itself: `steps` steps of projected ascent of
    logit j minus the label's inside the ball of radius `reach` in `norm`, each of STEP reach/steps;
    the way from the image to the end is the direction, with one step the gradient's own. D =
    targets, as many as there are.
    """
    logits = forward(model, images)
    others = logits.scatter(1, labels[:, None], float("-inf"))
    count = min(targets, logits.shape[1] - 1)
    towards = others.topk(count, dim=1).indices.flatten()
    start, own = images.repeat_interleave(count, 0), labels.repeat_interleave(count)
    device, threat, ends = module_device(model), Threat(norm, reach, grid=False), []
    for x, j, y in zip(*(part.split(BATCH) for part in (start, towards, own)), strict=True):
        ahead = partial(_ahead, targets=j.to(device))
        search = GradientSearch(steps=steps, step=STEP, loss=ahead, best=False)
        ends.append(search.run(model, x.to(device), y.to(device), threat, torch.Generator()).cpu())
    ways = torch.cat(ends) - start
    return scaled(ways, norm).view(len(images), count, *images.shape[1:])


def scaled(directions: Tensor, norm: str) -> Tensor:
    """Directions (N, ...) with length 1 in `norm`; a zero direction stays zero."""
    flat = directions.flatten(1)
    length = flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)
    return directions / length.clamp_min(1e-12).view(-1, *[1] * (directions.dim() - 1))


def _ahead(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """How far the logits of `targets` (N,) are ahead of the labels' own: shape (N,)."""
    return (logits.gather(1, targets[:, None]) - logits.gather(1, labels[:, None]))[:, 0]
