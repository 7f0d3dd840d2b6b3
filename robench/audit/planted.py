"""A twin with a planted adversarial example: what an attack must be able to find.

Zimmermann et al. (2022, "Increasing confidence in adversarial robustness evaluations"): the last
layer is replaced by a detector of one known point of the ball, through the features before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from robench.core.system import module_device
from robench.core.threat import Threat

INNER = 200
"""Random points of the ball that must not count as adversarial."""
RIDGE = 1e-3
"""Added to the features' covariance, in units of its mean variance."""


@dataclass(frozen=True)
class Plant:
    """A twin that tells one point of the ball (label 1) from the others (label 0)."""

    twin: nn.Module
    example: Tensor
    """The planted point: float32 in [0,1], shape (1, C, H, W)."""


class NoFeatures(Exception):
    """Not every image reaches the layer: the network goes another way for some of them."""


class Features(nn.Module):
    """What enters a twin's last linear layer: (N, features); raises NoFeatures."""

    def __init__(self, twin: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.twin, self.last = twin, last

    def forward(self, images: Tensor) -> Tensor:
        """Features of float32 images in [0,1]."""
        seen: list[Tensor] = []

        def keep(_: nn.Module, args: tuple[Any, ...]) -> None:
            seen.append(args[0].flatten(1).float())

        handle = self.last.register_forward_pre_hook(keep)
        try:
            self.twin(images)
        finally:
            handle.remove()
        if not seen or len(seen[-1]) != len(images):
            raise NoFeatures
        return seen[-1]


class _Detector(nn.Module):
    """Two logits from features: which side of a hyperplane they lie on."""

    def __init__(self, features: Features, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.features, self.bias = features, bias
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 2) of float32 images in [0,1]."""
        score = self.features(images) @ self.weight + self.bias
        return torch.stack([-score, score], 1)


def features_of(twin: nn.Module, images: Tensor) -> Features | None:
    """The features before the last linear layer that a twin calls, tried on a few images.

    None where it calls none, or with another number of rows than images: then no row is an image's.
    """
    called: list[tuple[nn.Module, int]] = []

    def note(layer: nn.Module, args: tuple[Any, ...]) -> None:
        called.append((layer, len(args[0])))

    layers = [module for module in twin.modules() if isinstance(module, nn.Linear)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with torch.no_grad():
            twin(images.to(module_device(twin)))
    finally:
        for handle in handles:
            handle.remove()
    if not called or called[-1][1] != len(images):
        return None
    return Features(twin, called[-1][0])


def plant(features: Features, image: Tensor, threat: Threat, rng: torch.Generator) -> Plant | None:
    """Plant one example in the ball around an image, shape (1, C, H, W); None where it cannot be.

    The detector is the linear discriminant between the planted point, on the ball's edge, and
    INNER random points of the ball; where a random point would be found, nothing is planted.
    """
    device = module_device(features)
    points = _points(image, threat, rng)
    with torch.no_grad():
        seen = features(points.to(device)).double().cpu()
    weight = _discriminant(seen)
    found, others = float(seen[0] @ weight), float((seen[1:] @ weight).max())
    if not found > others:
        return None
    scale = 10 / (found - others)
    detector = _Detector(
        features, (weight * scale).float().to(device), -scale * (found + others) / 2
    )
    with torch.no_grad():
        known = detector(points.to(device)).argmax(1).cpu()
    return Plant(detector.eval(), points[:1]) if known[0] and not known[1:].any() else None


def _points(image: Tensor, threat: Threat, rng: torch.Generator) -> Tensor:
    """One legal point on the edge of the ball, then INNER inside it."""
    assert threat.eps is not None
    draw = torch.randn((INNER + 1, *image.shape[1:]), generator=rng)
    if threat.norm == "linf":
        delta = threat.eps * draw.sign()
        delta[1:] *= torch.rand(delta[1:].shape, generator=rng)
    else:
        length = draw.flatten(1).norm(dim=1).view(-1, *[1] * (image.dim() - 1))
        delta = threat.eps * draw / length
        delta[1:] *= torch.rand((INNER, *[1] * (image.dim() - 1)), generator=rng)
    return threat.project(image + delta, image.expand_as(delta))


def _discriminant(seen: Tensor) -> Tensor:
    """Direction that best separates the first of some features from the others."""
    inner = seen[1:]
    centred = inner - inner.mean(0)
    covariance = centred.T @ centred / len(inner)
    ridge = RIDGE * float(covariance.diagonal().mean()) + 1e-12
    covariance.diagonal().add_(ridge)
    weight: Tensor = torch.linalg.solve(covariance, seen[0] - inner.mean(0))
    return weight
