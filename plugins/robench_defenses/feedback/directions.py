"""Banks of directions along which feedback learning looks for the decision boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from robench.core.system import forward, module_device
from robench.core.threat import distance, project_ball
from robench.search.gradient import finite, input_gradient, searching, unit

if TYPE_CHECKING:
    from torch import Tensor, nn

STEP = 2.0
"""Length of a path, were it straight, in radii of its ball: more finds nearer boundaries."""


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

    For each of `targets` classes j, `steps` steps of projected ascent of logit j minus the label's
    inside the ball of radius `reach` in `norm`, each of STEP reach/steps; the way from the image
    to the end is the direction, with one step the gradient's own. D = targets, as many as there
    are.
    """
    logits = forward(model, images)
    others = logits.scatter(1, labels[:, None], float("-inf"))
    count = min(targets, logits.shape[1] - 1)
    towards = others.topk(count, dim=1).indices.flatten()
    start = images.repeat_interleave(count, 0)
    own = labels.repeat_interleave(count)
    x = start
    for _ in range(steps):
        ascent = unit(_gradient(model, x, towards, own), norm)
        moved = project_ball(x - start + ascent * (STEP * reach / steps), norm, reach)
        x = (start + moved).clamp(0, 1)
    return scaled(x - start, norm).view(len(images), count, *images.shape[1:])


def scaled(directions: Tensor, norm: str) -> Tensor:
    """Directions (N, ...) with length 1 in `norm`; a zero direction stays zero."""
    length = distance(directions, torch.zeros_like(directions), norm)
    return directions / length.clamp_min(1e-12).view(-1, *[1] * (directions.dim() - 1))


def _gradient(model: nn.Module, images: Tensor, towards: Tensor, own: Tensor) -> Tensor:
    device, found = module_device(model), []
    with searching(model):
        for x, j, y in zip(images.split(250), towards.split(250), own.split(250), strict=True):
            leaf = x.to(device).requires_grad_()
            logits = model(leaf)
            ahead = logits.gather(1, j[:, None].to(device)) - logits.gather(
                1, y[:, None].to(device)
            )
            found.append(finite(input_gradient(ahead[:, 0], leaf)).cpu())
    return torch.cat(found)
