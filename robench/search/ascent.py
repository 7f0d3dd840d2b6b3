"""Gradient ascent inside a ball: FGSM, BIM, MIM and PGD are settings of one search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat, project_ball
from robench.search.gradient import Slope, finite, searching, slope, unit
from robench.search.losses import Loss, resolve_loss


@dataclass(frozen=True)
class Look:
    """What the search saw at one step, for the images `index` (N,) of the batch."""

    restart: int
    step: int
    index: Tensor
    slope: Slope


Watch = Callable[[Look], None]


@dataclass(frozen=True, kw_only=True)
class GradientSearch:
    """Signed or normalised gradient ascent of a loss inside the ball of a threat.

    FGSM (Goodfellow et al., 2015) is one step of the full radius; BIM (Kurakin et al., 2017)
    several; MIM (Dong et al., 2018) adds `decay`; PGD (Madry et al., 2018) a random start.
    Raises ConfigError for options out of range.
    """

    steps: int
    step: float = 1.0
    """Step size in units of eps / steps."""
    random_start: bool = False
    restarts: int = 1
    decay: float | None = None
    """Momentum: what each step keeps of the sum of L1-normalised gradients."""
    loss: str | Loss = "cross_entropy"
    temperature: float = 1.0
    """Divides the logits before the loss; large ones bring back a saturated cross-entropy."""
    samples: int = 1
    """Evaluations averaged per step (expectation over transformation)."""
    best: bool = True
    """Return the most wrong iterate seen; if false, always the last one."""

    def __post_init__(self) -> None:
        resolve_loss(self.loss)
        for name in ("steps", "step", "restarts", "temperature", "samples"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected {name} > 0, got {getattr(self, name)}")
        if self.decay is not None and self.decay < 0:
            raise ConfigError(f"expected decay >= 0, got {self.decay}")
        if self.restarts > 1 and not (self.random_start and self.best):
            raise ConfigError("expected random_start and best with restarts: they repeat otherwise")

    def run(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
        watch: Watch | None = None,
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W), on their device.

        `rng` is a CPU generator, used by random starts alone. Candidates lie in the ball and in
        [0,1], never hold NaN, and are not on the 8-bit grid. A restart attacks the images that the
        earlier ones left right. `watch` sees every step of every restart, and the last iterate.
        """
        if threat.eps is None:
            raise ConfigError("expected a threat with eps, got none; give the attack one")
        climb = _Climb(self, twin, Ball(threat.norm, threat.eps), watch)
        # Convolutions on a CPU run a quarter faster on images laid out channels last.
        images = images.contiguous(memory_format=torch.channels_last)
        with searching(twin):
            found, score = climb.run(images, labels, rng, 0, torch.arange(len(images)))
            for restart in range(1, self.restarts):
                left = (score <= 0).nonzero()[:, 0]
                if len(left) == 0:
                    break
                again, rescore = climb.run(images[left], labels[left], rng, restart, left)
                better = rescore > score[left]
                found[left[better]] = again[better]
                score[left[better]] = rescore[better]
        return found.contiguous()


@dataclass(frozen=True)
class Ball:
    """The ball of radius `eps` in `norm`, cut with the pixel range."""

    norm: str
    eps: float

    def draw(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball around each image, then clipped to [0,1]."""
        if self.norm == "linf":
            delta = torch.rand(images.shape, generator=rng) * 2 - 1
        else:
            direction = unit(torch.randn(images.shape, generator=rng), "l2")
            radius = torch.rand(len(images), generator=rng) ** (1 / math.prod(images.shape[1:]))
            delta = direction * radius.view(-1, *[1] * (images.dim() - 1))
        return (images + delta.to(images.device) * self.eps).clamp_(0, 1)

    def keeper(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """A function that brings candidates back, in place, into the ball around `images`."""
        if self.norm == "linf":
            low, high = (images - self.eps).clamp_(0, 1), (images + self.eps).clamp_(0, 1)
            return lambda x: torch.clamp(x, low, high, out=x)
        return lambda x: x.copy_(images + project_ball(x - images, "l2", self.eps)).clamp_(0, 1)


@dataclass(frozen=True)
class _Climb:
    """One restart of a search."""

    search: GradientSearch
    twin: nn.Module
    ball: Ball
    watch: Watch | None

    def run(
        self, images: Tensor, labels: Tensor, rng: torch.Generator, restart: int, index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Climb from a start; return each image's candidate and its margin."""
        search, keep = self.search, self.ball.keeper(images)
        size = search.step * self.ball.eps / search.steps
        x = self.ball.draw(images, rng) if search.random_start else images.clone()
        best, score = x, torch.full((len(x),), float("-inf"), device=x.device)
        momentum = torch.zeros_like(x)
        for step in range(search.steps):
            here = self._look(x, labels, restart, step, index)
            if search.best:
                best, score = _better(x, here.margin, best, score)
            assert here.gradient is not None
            gradient = finite(here.gradient)
            if search.decay is not None:
                gradient = momentum.mul_(search.decay).add_(_l1_unit(gradient))
            x = keep(x.add(unit(gradient, self.ball.norm), alpha=size))
        if self.search.best or self.watch:
            here = self._look(x, labels, restart, search.steps, index, differentiate=False)
        return _better(x, here.margin, best, score) if search.best else (x, score)

    def _look(
        self,
        x: Tensor,
        labels: Tensor,
        restart: int,
        step: int,
        index: Tensor,
        differentiate: bool = True,
    ) -> Slope:
        def loss(logits: Tensor, labels: Tensor) -> Tensor:
            return resolve_loss(self.search.loss)(logits / self.search.temperature, labels)

        here = slope(self.twin, x, labels, loss, self.search.samples, differentiate)
        if self.watch:
            self.watch(Look(restart, step, index, here))
        return here


def _better(x: Tensor, margin: Tensor, best: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Per image the candidate with the larger margin; a NaN margin never wins."""
    wins = margin > score
    chosen = torch.where(wins.view(-1, *[1] * (x.dim() - 1)), x, best)
    return chosen, torch.where(wins, margin, score)


def _l1_unit(gradient: Tensor) -> Tensor:
    length = gradient.abs().flatten(1).sum(1).view(-1, *[1] * (gradient.dim() - 1))
    return gradient / length.clamp_min(torch.finfo(gradient.dtype).tiny)
