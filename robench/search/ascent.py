"""Gradient ascent inside a ball: FGSM, BIM, MIM and PGD are settings of one search."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat, project_ball, towards_grid
from robench.search.gradient import LossGradient, finite, loss_gradient, searching, unit
from robench.search.losses import Loss, margin, resolve_loss


@dataclass(frozen=True)
class StepInfo:
    """What the search met at one step, for the N images `index` of the batch.

    `loss` and `margin` have shape (N,), `gradient` (N, C, H, W); see `LossGradient`.
    """

    restart: int
    step: int
    index: Tensor
    loss: Tensor
    margin: Tensor
    gradient: Tensor | None


Callback = Callable[[StepInfo], None]


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
        callback: Callback | None = None,
        radius: Tensor | None = None,
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W), on their device.

        `rng` is a CPU generator, used by random starts alone. Candidates lie in the ball and in
        [0,1], never hold NaN, and are not on the 8-bit grid. A restart attacks the images that the
        earlier ones left right where the threat puts them, on the grid if it has one, and the start
        with the largest margin there is kept. `callback` meets every step of every restart, and the
        last iterate. `radius` (N,), in [0,1] pixels, gives each image a ball of its own, in place
        of the threat's eps.
        """
        # Convolutions on a CPU run a quarter faster on images laid out channels last.
        images = images.contiguous(memory_format=torch.channels_last)
        ball = _ball(threat, radius)
        with searching(twin):
            report = _Report(callback, 0, torch.arange(len(images)))
            best, score = self._ascend(twin, images, labels, ball, rng, report)
            if self.restarts > 1:
                score = _judged(twin, best, score, images, labels, threat)
            for restart in range(1, self.restarts):
                left = (score <= 0).nonzero()[:, 0]
                if len(left) == 0:
                    break
                report = _Report(callback, restart, left)
                x, reached = self._ascend(
                    twin, images[left], labels[left], ball.of(left), rng, report
                )
                reached = _judged(twin, x, reached, images[left], labels[left], threat)
                better = reached > score[left]
                best[left[better]] = x[better]
                score[left[better]] = reached[better]
        return best.contiguous()

    def _ascend(
        self,
        twin: nn.Module,
        images: Tensor,
        labels: Tensor,
        ball: Ball,
        rng: torch.Generator,
        report: _Report,
    ) -> tuple[Tensor, Tensor]:
        """One start: each image's candidate and its margin."""
        project, size = ball.projection(images), self.step * ball.eps / self.steps
        x = ball.draw(images, rng) if self.random_start else images.clone()
        best, score = x, torch.full((len(x),), float("-inf"), device=x.device)
        momentum = torch.zeros_like(x)
        for step in range(self.steps):
            here = loss_gradient(twin, x, labels, self._loss, self.samples)
            report(step, here)
            if self.best:
                best, score = _better(x, here.margin, best, score)
            assert here.gradient is not None
            gradient = finite(here.gradient)
            if self.decay is not None:
                gradient = momentum.mul_(self.decay).add_(_l1_unit(gradient))
            x = project(_step(x, unit(gradient, ball.norm), size))
        if self.best or report.callback:
            here = loss_gradient(twin, x, labels, self._loss, self.samples, differentiate=False)
            report(self.steps, here)
        return _better(x, here.margin, best, score) if self.best else (x, score)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return resolve_loss(self.loss)(logits / self.temperature, labels)


@dataclass(frozen=True)
class Ball:
    """The ball of radius `eps` in `norm`, cut with the pixel range.

    `eps` is a number, or one an image: shape (N, 1, 1, 1).
    """

    norm: str
    eps: float | Tensor

    def draw(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball around each image, then clipped to [0,1]."""
        if self.norm == "linf":
            delta = torch.rand(images.shape, generator=rng) * 2 - 1
        else:
            direction = unit(torch.randn(images.shape, generator=rng), "l2")
            radius = torch.rand(len(images), generator=rng) ** (1 / math.prod(images.shape[1:]))
            delta = direction * radius.view(-1, *[1] * (images.dim() - 1))
        return (images + delta.to(images.device) * self.eps).clamp_(0, 1)

    def projection(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """A function that brings candidates back, in place, into the ball around `images`."""
        if self.norm == "linf":
            low, high = (images - self.eps).clamp_(0, 1), (images + self.eps).clamp_(0, 1)
            return lambda x: torch.clamp(x, low, high, out=x)
        return lambda x: x.copy_(images + project_ball(x - images, "l2", self.eps)).clamp_(0, 1)

    def of(self, index: Tensor) -> Ball:
        """The balls of the images at `index`."""
        return Ball(self.norm, self.eps[index] if isinstance(self.eps, Tensor) else self.eps)


@dataclass(frozen=True)
class _Report:
    """Tells the callback, if there is one, of the steps of one restart."""

    callback: Callback | None
    restart: int
    index: Tensor

    def __call__(self, step: int, here: LossGradient) -> None:
        if self.callback:
            at = here.loss, here.margin, here.gradient
            self.callback(StepInfo(self.restart, step, self.index, *at))


def _ball(threat: Threat, radius: Tensor | None) -> Ball:
    if radius is not None:
        return Ball(threat.norm, radius.view(-1, 1, 1, 1))
    if threat.eps is None:
        raise ConfigError("expected a threat with eps, got none; give the attack one")
    return Ball(threat.norm, threat.eps)


def _step(x: Tensor, direction: Tensor, size: float | Tensor) -> Tensor:
    if isinstance(size, Tensor):
        return x.addcmul(direction, size)
    return x.add(direction, alpha=size)


def _judged(
    twin: nn.Module, x: Tensor, score: Tensor, images: Tensor, labels: Tensor, threat: Threat
) -> Tensor:
    """Margins of candidates inside the ball once they are on the threat's grid, if it has one."""
    if not threat.grid:
        return score
    with torch.no_grad():
        return margin(twin(towards_grid(x, images)), labels).nan_to_num(nan=-torch.inf)


def _better(x: Tensor, margin: Tensor, best: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """Per image the candidate with the larger margin; a NaN margin never wins."""
    wins = margin > score
    chosen = torch.where(wins.view(-1, *[1] * (x.dim() - 1)), x, best)
    return chosen, torch.where(wins, margin, score)


def _l1_unit(gradient: Tensor) -> Tensor:
    length = gradient.abs().flatten(1).sum(1).view(-1, *[1] * (gradient.dim() - 1))
    return gradient / length.clamp_min(torch.finfo(gradient.dtype).tiny)
