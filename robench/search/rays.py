"""A search by labels alone: how far along a ray lies the first error, and is another ray shorter?

Where scores say nothing of where a label changes, neither gradients nor queries that read scores
find an error; that a label is wrong is then all that can be asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import LEVELS, Threat
from robench.search.gradient import unit
from robench.search.target import Wrong

BISECTIONS = 8
"""Halvings of a radius."""
# Answers that tell a boundary's normal, the first time, and pixel levels that these points lie off
# it; the steps along the normal that are tried, in units of the radius; and normals of one ray.
NORMAL, OFF, STEPS, NORMALS = 40, 4.0, (1.0, 0.3), 8


@dataclass(frozen=True, kw_only=True)
class RaySearch:
    """RayS (Chen & Gu, 2020) for Linf, HopSkipJump's normals (Chen et al., 2020) for L2.

    A ray starts towards another image, whose label is another. In Linf its direction changes sign
    block by block, first the whole, then halves and so on; in L2 it turns along the boundary's
    normal, which the labels of random points nearby tell. A turn is kept where the point at the
    present radius is wrong, too, and the radius is bisected then. Raises ConfigError for options
    out of range.
    """

    queries: int
    """Labels asked of each image at most."""

    def __post_init__(self) -> None:
        if self.queries < 2:
            raise ConfigError(f"expected queries >= 2, got {self.queries}")

    def run(
        self, wrong: Wrong, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W); `rng` is a CPU one.

        What is returned is legal under the threat, its grid included: the first legal point that
        is `wrong`, else the clean image. Points outside the ball are asked about, too, on the grid
        if there is one. Raises ConfigError for a threat without eps.
        """
        if threat.eps is None:
            raise ConfigError("expected a threat with eps, got none; give the attack one")
        rays = _Rays(wrong, images, labels, threat, threat.eps, self.queries, rng)
        turn = _flip if threat.norm == "linf" else _bend
        while len(rays.index):
            rays.restart()
            turn(rays)
        return rays.found


class _Rays:
    """One ray for each of N images."""

    def __init__(
        self,
        wrong: Wrong,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        eps: float,
        queries: int,
        rng: torch.Generator,
    ) -> None:
        self.wrong, self.images, self.labels = wrong, images, labels
        self.threat, self.eps, self.rng = threat, eps, rng
        self.far = 1.0 if threat.norm == "linf" else math.sqrt(images[:1].numel())
        """A radius at which every ray has left the pixel range."""
        self.found = images.clone()
        self.left = torch.full(labels.shape, queries, device=labels.device)
        """Labels that may still be asked; none of an image that fell."""
        self.directions = torch.zeros_like(images)
        self.radius = torch.full(labels.shape, self.far, device=labels.device)

    @property
    def index(self) -> Tensor:
        """The images that are still searched."""
        return (self.left > 0).nonzero()[:, 0]

    def asked(self, index: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """The points as they are asked about, and which of them are wrong; none is not asked."""
        if len(index) == 0:
            return points, torch.zeros_like(index, dtype=torch.bool)
        inside = points.clamp(0, 1)
        if self.threat.grid:
            inside = (inside * LEVELS).round() / LEVELS
        self.left[index] -= 1
        return inside, self.wrong(inside, self.labels[index])

    def on_ray(self, index: Tensor, directions: Tensor, radius: Tensor) -> Tensor:
        """Which points at a radius are wrong; a legal one that is ends the search of its image."""
        images = self.images[index]
        points, near = images + _wide(radius) * directions, radius <= self.eps
        points[near] = self.threat.project(points[near], images[near])
        points, wrong = self.asked(index, points)
        done = wrong & near
        self.found[index[done]] = points[done]
        self.left[index[done]] = 0
        return wrong

    def restart(self) -> None:
        """Begin new rays, towards images of other classes."""
        index = self.index
        # Where all are of one class the noise alone gives the direction.
        other = (self.labels[index][:, None] != self.labels).double() + 1e-9
        towards = torch.multinomial(other.cpu(), 1, generator=self.rng)[:, 0].to(index.device)
        delta = self.images[towards] - self.images[index]
        delta += 1e-3 * torch.randn(delta.shape, generator=self.rng).to(delta)
        self.directions[index] = unit(delta, self.threat.norm)
        self.radius[index] = self.far
        self.turn(index, self.directions[index])

    def turn(self, index: Tensor, directions: Tensor) -> None:
        """Take these directions where they are wrong at the present radius, and bisect it."""
        high = self.radius[index]
        wrong = self.on_ray(index, directions, high)
        index, directions, high = index[wrong], directions[wrong], high[wrong]
        self.directions[index] = directions
        low = torch.zeros_like(high)
        for _ in range(BISECTIONS):
            going = self.left[index] > 0
            index, directions, low, high = (x[going] for x in (index, directions, low, high))
            if len(index) == 0:
                return
            middle = (low + high) / 2
            wrong = self.on_ray(index, directions, middle)
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
            self.radius[index] = high


def _flip(rays: _Rays) -> None:
    """Change the signs of ever smaller blocks, down to single pixels."""
    pixels = rays.images[0].numel()
    size = pixels
    while True:
        for first in range(0, pixels, size):
            index = rays.index
            if len(index) == 0:
                return
            directions = rays.directions[index].flatten(1)
            directions[:, first : first + size] *= -1
            rays.turn(index, directions.view(-1, *rays.images.shape[1:]))
        if size == 1:
            return
        size = math.ceil(size / 2)


def _bend(rays: _Rays) -> None:
    """Turn along the normal of the boundary where the ray meets it, in ever smaller steps."""
    for number in range(1, NORMALS + 1):
        normals = _normals(rays, math.ceil(NORMAL * math.sqrt(number)))
        for step in STEPS:
            index = rays.index
            if len(index) == 0:
                return
            bent = rays.directions[index] + step / math.sqrt(number) * normals[index]
            rays.turn(index, unit(bent, rays.threat.norm))


def _normals(rays: _Rays, count: int) -> Tensor:
    """Normals of the boundary that the rays meet, towards errors, of length 1: (N, C, H, W).

    The labels of random points nearby, as +1 and -1 minus their mean, weigh the ways there (Chen
    et al., 2020, eq. 16).
    """
    ways, weighted, votes = (torch.zeros_like(rays.images) for _ in range(3))
    for _ in range(count):
        index = rays.index
        way = torch.randn(rays.images[index].shape, generator=rays.rng).to(rays.images)
        met = rays.images[index] + _wide(rays.radius[index]) * rays.directions[index]
        _, wrong = rays.asked(index, met + OFF / LEVELS * way)
        vote = _wide(2 * wrong.to(way) - 1)
        ways[index] += way
        weighted[index] += vote * way
        votes[index] += vote
    return unit(weighted - votes / count * ways, "l2")


def _wide(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
