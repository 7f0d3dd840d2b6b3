"""The fast adaptive boundary attack: the nearest error, by steps along linearised boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import TOLERANCE, Threat, distance
from robench.search.gradient import finite, input_gradient, searching, unit
from robench.search.losses import margin
from robench.search.target import Target

# Croce & Hein (2020), section 3 and appendix: the largest bias towards the clean image, the
# overshoot past the linearised boundary, and what an error keeps of its distance afterwards.
BIAS, OVERSHOOT, BACKWARD = 0.1, 1.05, 0.9


@dataclass(frozen=True, kw_only=True)
class FabSearch:
    """Step to the boundary as linearised here, drawn towards the clean image (Croce & Hein, 2020).

    "Minimally distorted adversarial examples with a fast adaptive boundary attack", algorithm 1;
    each step projects onto a hyperplane within the pixel range (its eq. 4), in Linf or L2. Raises
    ConfigError for options out of range.
    """

    steps: int
    targets: int
    """Classes tried one after the other, the likeliest of the clean image first; 0: at each step
    the class whose boundary is nearest, which differentiates every logit."""
    restarts: int = 1
    """Starts for each class; those after the first at random, half of eps away."""

    def __post_init__(self) -> None:
        if self.targets < 0:
            raise ConfigError(f"expected targets >= 0, got {self.targets}")
        for name in ("steps", "restarts"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"expected {name} > 0, got {getattr(self, name)}")

    def run(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
        radii: Tensor | None = None,
    ) -> Tensor:
        """Search the nearest candidates that the target gets wrong; else the clean images.

        Images are float32 in [0,1], shape (N, C, H, W), on the twin's device; `rng` is a CPU
        generator, used by restarts alone. Within a ball an image leaves at its first error inside;
        without eps its nearest error is sought to the last step. `radii` (N, 1, 1, 1) give each
        image an eps of its own, at most the threat's. Candidates are judged on the 8-bit grid if
        the threat says so.
        """
        if self.restarts > 1 and threat.eps is None:
            raise ConfigError("expected a threat with eps for restarts, got none; give it one")
        images = images.contiguous(memory_format=torch.channels_last)
        nearest = _Nearest(target, images, labels, threat, radii)
        with searching(target.twin):
            for aim in self._aims(target.twin, images, labels):
                for restart in range(self.restarts):
                    index = nearest.sought()
                    if len(index):
                        start = images[index]
                        x = start.clone()
                        if restart:
                            x = _halfway(start, threat.norm, nearest.radius(index), rng)
                        self._descend(nearest, index, x, None if aim is None else aim[index])
        return nearest.best.contiguous()

    def _aims(self, twin: nn.Module, images: Tensor, labels: Tensor) -> list[Tensor | None]:
        """The classes (N,) to aim at, in order; None is any class."""
        if not self.targets or not len(images):
            return [None]
        with torch.no_grad():
            logits = twin(images)
        wrong = logits.scatter(1, labels[:, None], -torch.inf)
        ranked = wrong.argsort(1, descending=True)[:, :-1]
        return list(ranked[:, : self.targets].unbind(1))

    def _descend(self, nearest: _Nearest, index: Tensor, x: Tensor, aim: Tensor | None) -> None:
        """One start of the images at `index`, at `x`."""
        norm = nearest.threat.norm
        for _ in range(self.steps):
            clean = nearest.images[index]
            plane = _Plane.at(nearest, index, x, aim)
            if bool(plane.wrong.any()):
                nearest.offer(index, plane.point, plane.wrong)
                keep = nearest.seeking(index)
                index, x, clean, plane = index[keep], x[keep], clean[keep], plane.of(keep)
                aim = None if aim is None else aim[keep]
                if not len(index):
                    return
                back = plane.wrong.nonzero()[:, 0]
                x[back] = clean[back] + BACKWARD * (x[back] - clean[back])
                if len(back):
                    here = None if aim is None else aim[back]
                    plane.put(back, _Plane.at(nearest, index[back], x[back], here))
            x = _step(x, clean, plane, norm)
        point = _rounded(x, nearest.images[index], nearest.threat)
        with torch.no_grad():
            wrong = margin(nearest.target.twin(point).float(), nearest.labels[index]) > 0
        nearest.offer(index, point, wrong)


class _Nearest:
    """What is attacked, and for each image the nearest confirmed error so far."""

    def __init__(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        radii: Tensor | None = None,
    ) -> None:
        self.target, self.images, self.labels, self.threat = target, images, labels, threat
        self.radii = radii
        self.best = images.clone()
        self.distance = torch.full((len(images),), torch.inf, device=images.device)

    def sought(self) -> Tensor:
        """Indices of the images whose search goes on."""
        every = torch.arange(len(self.images), device=self.images.device)
        return every[self.seeking(every)]

    def seeking(self, index: Tensor) -> Tensor:
        """Which of these images' searches go on: within a ball, those without an error in it."""
        if self.threat.eps is None:
            return torch.ones_like(index, dtype=torch.bool)
        return self.distance[index].isinf()

    def radius(self, index: Tensor) -> Tensor:
        """Eps of these images, inf without one: (M, 1, 1, 1), or (1,) where all have the same."""
        if self.radii is not None:
            return self.radii[index]
        eps = torch.inf if self.threat.eps is None else self.threat.eps
        return torch.tensor([eps], device=self.images.device)

    def offer(self, index: Tensor, points: Tensor, wrong: Tensor) -> None:
        """Keep what the twin gets wrong, lies nearer and inside, and the target gets wrong too."""
        clean = self.images[index]
        away = distance(points, clean, self.threat.norm)
        inside = away <= self.radius(index).flatten() + TOLERANCE
        new = (wrong & (away < self.distance[index]) & inside).nonzero()[:, 0]
        if not len(new):
            return
        radii = None if self.radii is None else self.radii[index[new]]
        candidates = self.threat.project(points[new], clean[new], radii)
        new = new[sure := self.target.wrong(candidates, self.labels[index[new]])]
        self.best[index[new]], self.distance[index[new]] = candidates[sure], away[new]


@dataclass
class _Plane:
    """Boundaries linearised at `point`: where gap + slope . (u - point) = 0, above it an error."""

    point: Tensor
    gap: Tensor
    slope: Tensor
    wrong: Tensor
    """What the twin says at `point`: bool (N,)."""

    @classmethod
    def at(cls, nearest: _Nearest, index: Tensor, x: Tensor, aim: Tensor | None) -> _Plane:
        """The boundary to the class `aim`, or to the nearest one, of the twin around `x`."""
        labels = nearest.labels[index]
        point = _rounded(x, nearest.images[index], nearest.threat)
        leaf = point.requires_grad_()
        logits = nearest.target.twin(leaf).float()
        wrong = margin(logits.detach(), labels) > 0
        if aim is not None:
            gap = margin(logits, labels, aim)
            slope = input_gradient(gap, leaf)
        else:
            gap, slope = _nearest_class(logits, leaf, labels, nearest.threat.norm)
        return cls(leaf.detach(), finite(gap.detach()), finite(slope), wrong)

    def of(self, keep: Tensor) -> _Plane:
        """The planes where `keep`."""
        return _Plane(self.point[keep], self.gap[keep], self.slope[keep], self.wrong[keep])

    def put(self, index: Tensor, other: _Plane) -> None:
        """Take the other's planes at `index`."""
        self.point[index], self.gap[index], self.slope[index] = other.point, other.gap, other.slope

    def value(self, x: Tensor) -> Tensor:
        """How far `x` lies above the plane: shape (N,), in logits."""
        return self.gap + (self.slope * (x - self.point)).flatten(1).sum(1)


def _nearest_class(
    logits: Tensor, leaf: Tensor, labels: Tensor, norm: str
) -> tuple[Tensor, Tensor]:
    """Gap and slope of the class whose linearised boundary is nearest (its eq. 7)."""
    rows, own = torch.arange(len(labels), device=labels.device), labels[:, None]
    gaps = (logits - logits.gather(1, own)).detach()
    if not logits.requires_grad:
        return gaps.scatter(1, own, -torch.inf).amax(1), torch.zeros_like(leaf)
    slopes = torch.stack(
        [
            torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=True)[0]
            for k in range(logits.shape[1])
        ],
        dim=1,
    )
    slopes = slopes - slopes[rows, labels][:, None]
    dual = torch.linalg.vector_norm(slopes.flatten(2), ord=1 if norm == "linf" else 2, dim=2)
    away = (gaps.abs() / dual.clamp_min(1e-12)).scatter(1, own, torch.inf)
    chosen = away.argmin(1)
    return gaps[rows, chosen], slopes[rows, chosen]


def _step(x: Tensor, clean: Tensor, plane: _Plane, norm: str) -> Tensor:
    """Past the plane from here and from the clean image, mixed by their distances (eq. 9, 10)."""
    here = to_plane(x, plane.slope, plane.value(x), norm)
    there = to_plane(clean, plane.slope, plane.value(clean), norm)
    near, far = (_length(delta, norm).clamp_min(1e-8) for delta in (here, there))
    bias = (near / (near + far)).clamp_max(BIAS).view(-1, 1, 1, 1)
    mixed = (x + OVERSHOOT * here) * (1 - bias) + (clean + OVERSHOOT * there) * bias
    return mixed.clamp_(0, 1)


def to_plane(x: Tensor, slope: Tensor, value: Tensor, norm: str) -> Tensor:
    """The smallest change in `norm` after which `value` (N,), which grows by `slope`, is 0.

    Points stay in [0,1]; where the plane does not meet it, they go as far as they can. Sorting
    solves it exactly (Croce & Hein, 2020, section 3.2): a change of size t moves each pixel by t,
    in L2 by t times its slope, until the pixel stops at 0 or 1.
    """
    flat, way = x.flatten(1), -value.sign()[:, None] * slope.flatten(1)
    # Divided by its largest entry, the squares of a tiny slope do not vanish.
    scale = way.abs().amax(1, keepdim=True).clamp_min(torch.finfo(way.dtype).tiny)
    way, need = way / scale, value.abs() / scale[:, 0]
    room = torch.where(way > 0, 1 - flat, flat) * (way != 0)
    speed = way.abs() if norm == "l2" else (way != 0).to(way.dtype)
    limit = room / speed.clamp_min(torch.finfo(way.dtype).tiny)
    size = _water(way.abs() * speed, limit, need)[:, None]
    return (way.sign() * torch.minimum(size * speed, room)).view_as(x)


def _water(slope: Tensor, limit: Tensor, need: Tensor) -> Tensor:
    """The least t (N,) with sum_i slope_i min(t, limit_i) >= need; else the largest limit."""
    order = limit.argsort(1)
    slope, limit = slope.gather(1, order), limit.gather(1, order)
    moving = slope.flip(1).cumsum(1).flip(1)  # of the pixels not yet stopped before each limit
    stopped = (slope * limit).cumsum(1) - slope * limit
    first = (stopped + moving * limit >= need[:, None]).to(torch.int8).argmax(1, keepdim=True)
    moving, stopped = moving.gather(1, first)[:, 0], stopped.gather(1, first)[:, 0]
    t = (need - stopped) / moving.clamp_min(torch.finfo(slope.dtype).tiny)
    reached = (slope * limit).sum(1) >= need
    return torch.where(reached, t, limit[:, -1])


def _rounded(x: Tensor, clean: Tensor, threat: Threat) -> Tensor:
    """Candidates as they are judged: on the grid where there is one.

    In Linf pixels are rounded away from the clean image, which does not leave the smallest ball on
    the grid around a candidate, and never falls back behind the boundary; in L2 to the nearest.
    """
    if not threat.grid:
        return x.clone()
    scaled = x * 255
    if threat.norm == "l2":
        return scaled.round() / 255
    up, down = (scaled - 1e-3).ceil(), (scaled + 1e-3).floor()
    return (up.where(x >= clean, down) / 255).clamp_(0, 1)


def _halfway(images: Tensor, norm: str, radius: Tensor, rng: torch.Generator) -> Tensor:
    """Points at half of eps from each image, in a random direction."""
    if norm == "linf":
        delta = torch.rand(images.shape, generator=rng) * 2 - 1
        delta = delta / delta.flatten(1).abs().amax(1).clamp_min(1e-12).view(-1, 1, 1, 1)
    else:
        delta = unit(torch.randn(images.shape, generator=rng), "l2")
    return (images + radius / 2 * delta.to(images.device)).clamp_(0, 1)


def _length(delta: Tensor, norm: str) -> Tensor:
    flat = delta.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)
