"""Carlini & Wagner's search for the nearest adversarial example in L2."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search.gradient import finite, loss_gradient, searching, unit
from robench.search.losses import margin

# A constant too small breaks nothing: it grows by this until it does (the authors' own code).
GROWTH = 10
# A step that crosses the boundary was too long; one that never met it too short.
SHORTEN, LENGTHEN = 0.7, 1.3
# Less gain than this in the objective, in a quarter of the steps, ends an image's descent.
GAIN = 0.01
HALVINGS = 6


@dataclass(frozen=True, kw_only=True)
class CarliniSearch:
    """Minimise distance^2 + c * max(-margin, 0), with c searched for per image.

    Carlini & Wagner (2017), sections V and VI-A. The pixel range is kept by projected gradient
    descent, the first of the three ways of their section V-B: their tanh hardly moves pixels that
    are black or white. Steps have a length per image that adapts to the boundary, an image whose
    objective stands still leaves the batch, and at the end the nearest error is pulled towards the
    clean image by bisection. Raises ConfigError for options out of range.
    """

    search_steps: int
    """Constants tried for each image."""
    steps: int
    """Gradient steps at most for each constant."""
    learning_rate: float
    """Root-mean-square change of a pixel in the first step."""
    initial_const: float
    """First c; the right one is proportional to 1 / scale of the logits."""

    def __post_init__(self) -> None:
        for name in ("search_steps", "steps", "learning_rate", "initial_const"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected {name} > 0, got {getattr(self, name)}")

    def run(self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat) -> Tensor:
        """Search the nearest candidates that the twin gets wrong; else the clean images.

        Images are float32 in [0,1], shape (N, C, H, W), on the twin's device. Candidates are judged
        where `threat` puts them, on the 8-bit grid if it says so; its eps plays no part.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        nearest = _Nearest(twin, images, labels, replace(threat, eps=None))
        const = torch.full((len(images),), self.initial_const, device=images.device)
        low, high = torch.zeros_like(const), torch.full_like(const, torch.inf)
        with searching(twin):
            for _ in range(self.search_steps):
                broken = self._descend(nearest, const)
                high, low = torch.where(broken, const, high), torch.where(broken, low, const)
                const = torch.where(high.isinf(), const * GROWTH, (low + high) / 2)
            nearest.pull()
        return nearest.best.contiguous()

    def _descend(self, nearest: _Nearest, const: Tensor) -> Tensor:
        """Descend from the clean images with these constants; say which were broken on the way."""
        index = (nearest.distance > 0).nonzero()[:, 0]
        pixels = nearest.images[0].numel()
        walk = _Walk.start(index, const, self.learning_rate * math.sqrt(pixels), nearest.images)
        broken = torch.zeros_like(const, dtype=torch.bool)
        for _ in range(self.steps):
            clean = nearest.images[walk.index]
            candidates = nearest.threat.project(walk.x, clean)
            here = loss_gradient(nearest.twin, candidates, nearest.labels[walk.index], margin)
            assert here.gradient is not None
            wrong = here.margin > 0
            broken[walk.index[wrong]] = True
            distance = nearest.offer(walk.index, candidates, wrong)
            push = (walk.const * ~wrong).view(-1, 1, 1, 1) * finite(here.gradient)
            gap = (-here.margin).clamp_min(0).where(~wrong, 0)
            walk.note(distance.square() + walk.const * gap, wrong, broken[walk.index])
            walk.step(2 * (candidates - clean) - push)
            walk = walk.keep((walk.stalled < self.steps / 4) & (nearest.distance[walk.index] > 0))
            if len(walk.index) == 0:
                break
        return broken


class _Nearest:
    """What is attacked, and for each image the nearest wrong candidate so far."""

    def __init__(self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat) -> None:
        self.twin, self.images, self.labels, self.threat = twin, images, labels, threat
        self.best = images.clone()
        self.distance = torch.full((len(images),), torch.inf, device=images.device)

    def offer(self, index: Tensor, candidates: Tensor, wrong: Tensor) -> Tensor:
        """Keep the wrong candidates that are nearer; return all distances (L2, [0,1] pixels)."""
        distance: Tensor = (candidates - self.images[index]).flatten(1).norm(dim=1)
        nearer = wrong & (distance < self.distance[index])
        self.best[index[nearer]] = candidates[nearer]
        self.distance[index[nearer]] = distance[nearer]
        return distance

    def pull(self) -> None:
        """Bisect between each candidate and its clean image for a nearer one."""
        index = ((self.distance > 0) & ~self.distance.isinf()).nonzero()[:, 0]
        clean = self.images[index]
        far, low = self.best[index] - clean, torch.zeros(len(index), 1, 1, 1, device=clean.device)
        width = 1.0
        for _ in range(HALVINGS if len(index) else 0):
            width /= 2
            candidates = self.threat.project(clean + (low + width) * far, clean)
            at = loss_gradient(
                self.twin, candidates, self.labels[index], margin, differentiate=False
            )
            wrong = at.margin > 0
            self.offer(index, candidates, wrong)
            low += width * ~wrong.view(-1, 1, 1, 1)


@dataclass
class _Walk:
    """The images still descending: where each is and how its objective fares."""

    index: Tensor
    const: Tensor
    x: Tensor
    length: Tensor
    objective: Tensor
    stalled: Tensor
    wrong: Tensor

    @classmethod
    def start(cls, index: Tensor, const: Tensor, length: float, images: Tensor) -> _Walk:
        """All images of `index` at their clean selves."""
        zero = torch.zeros(len(index), device=images.device)
        best = torch.full_like(zero, torch.inf)
        return cls(index, const[index], images[index], zero + length, best, zero, zero.bool())

    def note(self, objective: Tensor, wrong: Tensor, broken: Tensor) -> None:
        """Adapt the lengths to the boundary and count the steps without gain."""
        crossed = wrong != self.wrong
        self.length = self.length * torch.where(
            crossed, SHORTEN, torch.where(broken, 1.0, LENGTHEN)
        )
        gained = objective < self.objective * (1 - GAIN)
        self.objective = torch.where(gained, objective, self.objective)
        self.stalled = torch.where(gained, 0, self.stalled + 1)
        self.wrong = wrong

    def step(self, gradient: Tensor) -> None:
        """Go down the gradient by each image's length, within [0,1]."""
        self.x = (self.x - self.length.view(-1, 1, 1, 1) * unit(gradient, "l2")).clamp_(0, 1)

    def keep(self, kept: Tensor) -> _Walk:
        """The walk of the images where `kept`."""
        if bool(kept.all()):
            return self
        return _Walk(*(getattr(self, field.name)[kept] for field in fields(self)))
