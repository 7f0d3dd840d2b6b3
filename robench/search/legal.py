"""The legal candidates around each image of a batch, for searches that judge every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat, distance, project_ball
from robench.search.gradient import unit

# In pixel levels: more than float32 loses, less than what a threat tolerates at the ball's edge.
SLACK = 1e-4


@dataclass(frozen=True)
class Legal:
    """The ball of a threat around M images, cut with the pixel range: `low` and `high` bound it.

    All images are float32 in [0,1], shape (M, C, H, W); `radii` (M, 1, 1, 1) give each an eps of
    its own, else it is the threat's. On the 8-bit grid the bounds of Linf lie
    on the grid, so that rounding to the nearest level never leaves the ball.
    """

    threat: Threat
    images: Tensor
    low: Tensor
    high: Tensor
    radii: Tensor | None = None

    @classmethod
    def around(cls, images: Tensor, threat: Threat, radii: Tensor | None = None) -> Legal:
        """The legal candidates around images; raises ConfigError for a threat without eps."""
        eps = threat.eps if radii is None else radii
        if eps is None:
            raise ConfigError("expected a threat with eps, got none; give the attack one")
        low, high = images - eps, images + eps
        if threat.norm != "linf":
            low, high = torch.zeros_like(images), torch.ones_like(images)
        elif threat.grid:
            low = (low * 255 - SLACK).ceil() / 255
            high = (high * 255 + SLACK).floor() / 255
        return cls(threat, images, low.clamp_(0, 1), high.clamp_(0, 1), radii)

    @property
    def radius(self) -> float | Tensor:
        """Eps, in [0,1] pixels: a number, or (M, 1, 1, 1)."""
        if self.radii is not None:
            return self.radii
        assert self.threat.eps is not None
        return self.threat.eps

    def of(self, index: Tensor) -> Legal:
        """The legal candidates around the images at `index`."""
        radii = None if self.radii is None else self.radii[index]
        return Legal(self.threat, self.images[index], self.low[index], self.high[index], radii)

    def project(self, points: Tensor) -> Tensor:
        """The nearest points of the ball; not on the grid."""
        if self.threat.norm == "linf":
            return torch.clamp(points, self.low, self.high)
        return (self.images + project_ball(points - self.images, "l2", self._inner)).clamp_(0, 1)

    def snap(self, points: Tensor) -> Tensor:
        """Candidates as the threat wants them, from points of the ball: on its grid, if any.

        A pixel takes the nearest level, whatever side of the clean one that is on: rounding
        towards the clean image, as `Threat.project` does, would give part of the ball away. That
        function leaves these candidates as they are.
        """
        if not self.threat.grid:
            return points
        candidates = (points * 255).round_().div_(255)
        if self.threat.norm == "linf":
            return candidates
        lengths = distance(candidates, self.images, "l2").view(-1, 1, 1, 1)
        outside = (lengths > self.radius * (1 - 1e-6)).flatten()
        if outside.any():
            radii = None if self.radii is None else self.radii[outside]
            law = self.threat.project(points[outside], self.images[outside], radii)
            candidates[outside] = law
        return candidates

    def step(self, points: Tensor, gradient: Tensor, size: Tensor) -> Tensor:
        """Points moved along the steepest direction by `size` (M,), brought back into the ball."""
        shape = (-1, *[1] * (points.dim() - 1))
        return self.project(
            torch.addcmul(points, unit(gradient, self.threat.norm), size.view(shape))
        )

    def draw(self, rng: torch.Generator) -> Tensor:
        """Points drawn uniformly from each ball, then cut to the pixel range."""
        shape = self.images.shape
        if self.threat.norm == "linf":
            delta = torch.rand(shape, generator=rng) * 2 - 1
        else:
            length = torch.rand(len(self.images), generator=rng) ** (1 / math.prod(shape[1:]))
            direction = unit(torch.randn(shape, generator=rng), "l2")
            delta = direction * length.view(-1, *[1] * (len(shape) - 1))
        return self.project(self.images + self.radius * delta.to(self.images.device))

    @property
    def _inner(self) -> float | Tensor:
        """A radius at which rounding to the nearest level seldom leaves an L2 ball."""
        radius = self.radius
        if not self.threat.grid:
            return radius
        # Rounding adds a level squared / 12 a pixel to the squared length, and what it does along
        # the perturbation: by two standard deviations at most in all but 2 % of images.
        pixels = self.images[0].numel() if len(self.images) else 0
        added = pixels / (12 * 255**2) + 4 * radius / (math.sqrt(12) * 255)
        if isinstance(radius, Tensor):
            return torch.maximum(radius**2 - added, radius**2 / 4).sqrt()
        return math.sqrt(max(radius**2 - added, radius**2 / 4))
