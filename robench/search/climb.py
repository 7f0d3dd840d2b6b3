"""APGD over rows: one image and, perhaps, one class it shall be taken for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from robench.core.batches import ASKED, at_once
from robench.core.threat import Threat
from robench.search.gradient import finite, input_gradient, searching
from robench.search.legal import Legal
from robench.search.losses import TargetedLoss
from robench.search.target import Target

Start = Callable[[Tensor], Tensor]
"""Indices of images (M,) -> a point of each one's ball (M, C, H, W)."""

# Croce & Hein (2020), section 3: the first step in units of eps, and the share of the last move.
FIRST_STEP, MOMENTUM = 2.0, 0.75
# A row halves its step where fewer steps than this rose since the last checkpoint.
RISING = 0.75
# The first period between checkpoints, what each next one loses, and the least, of all steps.
PERIOD, SHORTER, LEAST = 0.22, 0.03, 0.06
# Rows, and pixels of them all, that one forward pass takes.
ROWS, PIXELS = 512, ASKED // 2


class Attacked:
    """Images under attack, and what all climbs on them have met.

    Images are float32 in [0,1], shape (N, C, H, W), on the twin's device; labels int64 (N,). The
    clean images are judged first: what is wrong without an attack does not hold. `radii` (N,) give
    each image an eps of its own, in place of the threat's. `samples`
    evaluations of the twin are averaged (expectation over transformation, Athalye et al., 2018).
    """

    holds: Tensor
    """Which images no candidate has broken yet: bool (N,)."""
    points: Tensor
    """The candidate that broke each image, else the one nearest to it: (N, C, H, W), all legal."""
    gaps: Tensor
    """Highest logit minus the label's logit met for each class: (N, classes); -inf the label's."""

    def __init__(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        samples: int = 1,
        radii: Tensor | None = None,
    ) -> None:
        # Convolutions on a CPU run a quarter faster on images laid out channels last.
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.target, self.labels, self.samples = target, labels, samples
        self.threat = threat
        self.radii = None if radii is None else radii.view(-1, 1, 1, 1)
        self.points = self.images.clone()
        self.holds = torch.ones_like(labels, dtype=torch.bool)
        # The highest margin that a randomised judge called right, and that of `points`.
        self._refused = torch.full(labels.shape, -torch.inf, device=labels.device)
        with torch.no_grad(), searching(target.twin):
            parts = [target.twin(part).float() for part in self.points.split(rows_at_once(images))]
        self.gaps = _gaps(torch.cat(parts), labels)
        self._nearest = self.closeness.clone()
        self.judge(self.index, self.points, self._nearest)

    @property
    def index(self) -> Tensor:
        """Indices of the images that hold: int64."""
        return self.holds.nonzero()[:, 0]

    def legal(self, index: Tensor) -> Legal:
        """The legal candidates around these images."""
        radii = None if self.radii is None else self.radii[index]
        return Legal.around(self.images[index], self.threat, radii)

    @property
    def closeness(self) -> Tensor:
        """Highest margin met for each image, above 0 where the twin was wrong: (N,)."""
        return self.gaps.amax(1)

    def judge(self, index: Tensor, candidates: Tensor, margins: Tensor) -> None:
        """Ask the deployed model about legal candidates for these images; wrong ones fall.

        Several candidates may be of one image. `margins` (M,) say which of them is kept. A
        randomised judge, whose answer may be luck, is asked only about higher margins than before.
        """
        asked = self.holds[index]
        if self.target.randomised:
            asked &= margins > self._refused[index]
        rows = asked.nonzero()[:, 0]
        if len(rows) == 0:
            return
        said = [
            self.target.wrong(candidates[part], self.labels[index[part]])
            for part in rows.split(rows_at_once(candidates))
        ]
        wrong = torch.cat(said).to(rows.device)
        self._refused.scatter_reduce_(0, index[rows], margins[rows], "amax")
        rows = rows[wrong]
        rows = rows[best_rows(index[rows], margins[rows])]
        self.points[index[rows]] = candidates[rows]
        self.holds[index[rows]] = False

    def judge_nearest(self) -> None:
        """Ask about the nearest candidate of each image: the deployed model may fall earlier."""
        index = self.index
        self.judge(index, self.points[index], self._nearest[index])

    def note(self, index: Tensor, gaps: Tensor, candidates: Tensor, margins: Tensor) -> None:
        """Remember what rows met: highest gaps (M, classes) and the candidate of highest margin."""
        self.gaps.scatter_reduce_(0, index[:, None].expand_as(gaps), gaps, "amax")
        rows = best_rows(index, margins)
        rows = rows[margins[rows] > self._nearest[index[rows]]]
        self.points[index[rows]] = candidates[rows]
        self._nearest[index[rows]] = margins[rows]


def climb(
    attacked: Attacked,
    index: Tensor,
    targets: Tensor | None,
    start: Start,
    loss: TargetedLoss,
    steps: int,
) -> None:
    """Climb `loss` by APGD from a start for each row: an image of `index` and its target class.

    Croce & Hein (2020), algorithm 1, with the comparisons of their code; without `targets` any
    wrong class will do. Iterates take the steps, what the threat's grid
    makes of them is judged: each of `steps` + 1 forward passes, by the twin and, where that is
    wrong, by the deployed model. An image that falls takes its rows with it. Costs `steps`
    gradients and `steps` + 1 queries of a row that holds, times `attacked.samples`.
    """
    rows = torch.arange(len(index), device=index.device)
    with searching(attacked.target.twin):
        for part in rows.split(rows_at_once(attacked.images)):
            part = part[attacked.holds[index[part]]]
            if len(part):
                at = index[part]
                _climb(attacked, at, None if targets is None else targets[part], start, loss, steps)


def _climb(
    attacked: Attacked,
    index: Tensor,
    targets: Tensor | None,
    start: Start,
    loss: TargetedLoss,
    steps: int,
) -> None:
    rows = _Rows.start(attacked, index, targets, start(index))
    period = check = max(int(PERIOD * steps), 1)
    for step in range(steps):
        rows.look(attacked, loss, differentiate=True)
        holds = attacked.holds[rows.index]
        if not holds.all():
            rows = rows.keep(holds)
            if len(rows.index) == 0:
                return
        if step == check:
            rows.halve(period)
            period = max(period - max(int(SHORTER * steps), 1), max(int(LEAST * steps), 1))
            check = step + period
        rows.move(MOMENTUM if step else 1.0)
    rows.look(attacked, loss, differentiate=False)
    attacked.note(rows.index, rows.gaps, rows.legal.snap(rows.best_x), rows.margin)


@dataclass
class _Rows:
    """The climb of M rows; tensors are (M,) or (M, C, H, W), `gaps` (M, classes)."""

    index: Tensor
    targets: Tensor | None
    labels: Tensor
    legal: Legal
    x: Tensor
    before: Tensor
    """The iterate before x."""
    gradient: Tensor
    """What the next step follows."""
    value: Tensor
    """The loss at x."""
    best: Tensor
    """The highest loss; at `best_x`, with `best_gradient` and `margin` there."""
    best_x: Tensor
    best_gradient: Tensor
    margin: Tensor
    gaps: Tensor
    """The highest gap to each class."""
    size: Tensor
    """The length of a step."""
    rises: Tensor
    """Steps since the last checkpoint that raised the loss."""
    halved: Tensor
    """Whether the last checkpoint halved the step."""
    was: Tensor
    """The highest loss at the last checkpoint."""

    @classmethod
    def start(cls, attacked: Attacked, index: Tensor, targets: Tensor | None, x: Tensor) -> _Rows:
        low = torch.full((len(index),), -torch.inf, device=x.device)
        legal = attacked.legal(index)
        first = FIRST_STEP * torch.as_tensor(legal.radius).flatten().to(low)
        return cls(
            index=index,
            targets=targets,
            labels=attacked.labels[index],
            legal=legal,
            x=x,
            before=x,
            gradient=torch.zeros_like(x),
            value=-low,  # the start is no rise
            best=low,
            best_x=x,
            best_gradient=torch.zeros_like(x),
            margin=low,
            gaps=torch.full_like(attacked.gaps[index], -torch.inf),
            size=first.expand(len(index)),
            rises=torch.zeros_like(low),
            # What never improved on its start is stuck only from the second checkpoint on.
            halved=torch.ones_like(low, dtype=torch.bool),
            was=low,
        )

    def keep(self, mask: Tensor) -> _Rows:
        """The rows that `mask` (M,) is true for."""
        at = mask.nonzero()[:, 0]
        parts: dict[str, Any] = {
            field.name: _take(getattr(self, field.name), at) for field in fields(self)
        }
        return _Rows(**parts)

    def look(self, attacked: Attacked, loss: TargetedLoss, *, differentiate: bool) -> None:
        """Judge the iterate, and take the loss and its gradient there."""
        candidates = self.legal.snap(self.x).detach()
        logits = self._ask(attacked, candidates, loss, differentiate)
        gaps = _gaps(logits, self.labels)
        margin = gaps.amax(1)
        self.gaps = torch.maximum(self.gaps, gaps)
        better = self.value > self.best
        self.best = torch.where(better, self.value, self.best)
        self.margin = torch.where(better, margin, self.margin)
        wide = better.view(_wide(self.x))
        self.best_x = torch.where(wide, self.x, self.best_x)
        self.best_gradient = torch.where(wide, self.gradient, self.best_gradient)
        # A quantised model often ties, and the judge then takes the first class.
        wrong = (logits.argmax(1) != self.labels) & (margin >= 0)
        if wrong.any():
            attacked.judge(self.index[wrong], candidates[wrong], margin[wrong])

    def _ask(
        self, attacked: Attacked, candidates: Tensor, loss: TargetedLoss, differentiate: bool
    ) -> Tensor:
        """The twin's mean logits; sets loss and gradient, as means too, and counts the rise."""
        samples = attacked.samples
        total = torch.zeros_like(self.best)
        slope = torch.zeros_like(candidates) if samples > 1 else None
        answers = []
        for _ in range(samples):
            leaf = candidates.detach().requires_grad_(differentiate)
            logits = attacked.target.twin(leaf).float()
            answers.append(logits.detach())
            value = loss(logits, self.labels, self.targets)
            total = total + value.detach()
            if differentiate:
                part = finite(input_gradient(value, leaf))
                slope = part if slope is None else slope.add_(part)
        if slope is not None:
            self.gradient = slope
        value = (total / samples).nan_to_num(nan=-torch.inf)
        self.rises = self.rises + (value > self.value)
        self.value = value
        return answers[0] if samples == 1 else torch.stack(answers).mean(0)

    def halve(self, period: int) -> None:
        """Halve the steps of rows that rise too seldom or are stuck; they return to their best."""
        stuck = ~self.halved & (self.was >= self.best)
        self.halved = (self.rises <= RISING * period) | stuck
        self.was, self.rises = self.best, torch.zeros_like(self.rises)
        self.size = torch.where(self.halved, self.size / 2, self.size)
        wide = self.halved.view(_wide(self.x))
        self.x = torch.where(wide, self.best_x, self.x)
        self.gradient = torch.where(wide, self.best_gradient, self.gradient)

    def move(self, momentum: float) -> None:
        """One step along the gradient, and on along the last one."""
        ahead = self.legal.step(self.x, self.gradient, self.size)
        last = self.x - self.before
        self.before = self.x
        self.x = self.legal.project(self.x + momentum * (ahead - self.x) + (1 - momentum) * last)


def rows_at_once(images: Tensor) -> int:
    """How many rows of such images one forward pass takes."""
    return at_once(images.shape[1:], PIXELS, ROWS)


def best_rows(index: Tensor, values: Tensor) -> Tensor:
    """Of the rows (M,) of each image in `index` the one with the highest value."""
    if len(index) == 0:
        return index
    order = values.argsort(stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    top = torch.full((int(index.max()) + 1,), -1, device=index.device)
    top = top.scatter_reduce(0, index, rank, "amax")
    return order[top[top >= 0]]


def _gaps(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits minus the label's logit; -inf for the label itself and in place of NaN."""
    gaps = logits - logits.gather(1, labels[:, None])
    return gaps.scatter(1, labels[:, None], -torch.inf).nan_to_num(
        -torch.inf, torch.inf, -torch.inf
    )


def _wide(like: Tensor) -> tuple[int, ...]:
    return (-1, *[1] * (like.dim() - 1))


def _take(part: Any, at: Tensor) -> Any:
    if part is None:
        return None
    return part.of(at) if isinstance(part, Legal) else part[at]
