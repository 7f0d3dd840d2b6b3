"""Does the mean gradient of a system that answers at random predict what its mean answer does?

One random answer minus another is noise, whatever the gradient is worth. So means are compared,
over draws that two points share (common random numbers): under one seed the system draws the same
at both. Where it does not, the means are as true and noisier. Noise is told from what holds by two
halves of the draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robench.base.seeds import seed_scope
from robench.core.threat import Threat
from robench.search import Scores
from robench.search.climb import rows_at_once
from robench.search.gradient import finite, input_gradient, searching
from robench.search.secant import direction, gap, legal, nearest_rivals, reach_of

PAIRS = 4
"""Random directions of each image, each cut into two halves."""
RESAMPLED = 400
"""Drawings of the images that give an interval (bootstrap)."""
TELLING = 0.1
"""Share of the differences' squares, at the interval's lower end, that is no noise; below it
nothing is said."""
SAME, OTHER = 0.01, 0.25
"""Parts of the margin by which it differs at most where a draw is drawn again, and at least where
it is another while gradients are asked for."""


@dataclass(frozen=True)
class Means:
    """What draws of a random system say together."""

    draws: int
    """Answers at each point, and gradients."""
    told: bool
    """Whether the differences are anything but noise."""
    predicted: tuple[float, float, float]
    """How well the mean of the gradients predicts the differences of the mean scores: a cosine in
    [-1, 1], the differences' noise accounted for, and its 95 % interval over images."""
    watched: Tensor
    """Images with other scores while a gradient is asked for, by the same draws: bool (N,)."""


class Draws:
    """Draws of a random system around some images; more can be added.

    Images are float32 in [0,1], shape (N, C, H, W), on the CPU; `scores` are the deployed model's,
    asked without gradients. `rng` is a CPU generator.
    """

    def __init__(
        self,
        twin: nn.Module,
        scores: Scores,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
    ) -> None:
        self._twin, self._scores, self._rng = twin, scores, rng
        self._images, self._labels = images, labels
        reach = reach_of(threat, images[0].numel())
        wholes = reach * torch.stack([direction(images, threat.norm, rng) for _ in range(PAIRS)])
        masks = torch.rand(wholes.shape, generator=rng) < 0.5
        self._halves = _ends(images, torch.cat([wholes * masks, wholes * ~masks]), threat)
        self._wholes = _ends(images, wholes, threat)
        self._rivals = self._nearest(2 * PAIRS)
        self._seeds: list[int] = []
        self._foretold: list[Tensor] = []
        self._found: list[Tensor] = []
        self._plain: list[Tensor] = []

    def _seed(self) -> int:
        return int(torch.randint(2**31, (), generator=self._rng))

    def _nearest(self, draws: int) -> Tensor:
        """The wrong class nearest to winning by mean scores: int64 (N,)."""
        total = torch.zeros(())
        for _ in range(draws):
            with seed_scope(self._seed()), torch.no_grad():
                total = total + self._scores(self._images).float()
        return nearest_rivals(total, self._labels)

    def add(self, count: int) -> None:
        """Draw as many more answers at every point, and gradients."""
        for _ in range(count):
            self._seeds.append(self._seed())
            self._found.append(self._difference(self._halves, self._seeds[-1]))
            seed = self._seed()
            margins, gradient = self._gradient(seed)
            moved = self._halves[0].double() - self._halves[1].double()
            self._foretold.append((gradient * moved).flatten(2).sum(2))
            plain = [self._margin(self._images[None], seed, self._twin)[0] for _ in range(2)]
            self._plain.append(torch.stack([margins, *plain]))

    def _difference(self, ends: tuple[Tensor, Tensor], seed: int) -> Tensor:
        """What one draw's margins differ by at the two ends of K moves of each image: (K, N)."""
        ahead, behind = (self._margin(points, seed) for points in ends)
        return ahead - behind

    def _margin(self, points: Tensor, seed: int, scores: Scores | None = None) -> Tensor:
        """One random margin to the rival at K points of each image, (K, N, C, H, W): (K, N)."""
        rows = points.flatten(0, 1)
        with seed_scope(seed), torch.no_grad():
            parts = rows.split(rows_at_once(rows))
            answers = [(scores or self._scores)(part).float() for part in parts]
        count = len(points)
        labels, rivals = self._labels.repeat(count), self._rivals.repeat(count)
        return gap(torch.cat(answers), labels, rivals).double().view(count, -1)

    def _gradient(self, seed: int) -> tuple[Tensor, Tensor]:
        """One random margin of the twin and its gradient, asked for at once: (N,), (N, C, H, W)."""
        parts = (
            each.split(rows_at_once(self._images))
            for each in (self._images, self._labels, self._rivals)
        )
        margins, gradients = [], []
        with searching(self._twin), seed_scope(seed):
            for few, labels, rivals in zip(*parts, strict=True):
                leaf = few.detach().clone().requires_grad_()
                margin = gap(self._twin(leaf).float(), labels, rivals)
                margins.append(margin.detach().double())
                gradients.append(finite(input_gradient(margin, leaf)).double())
        return torch.cat(margins), torch.cat(gradients)

    def means(self) -> Means:
        """What all draws so far say; an even number of them."""
        found = torch.stack(self._found)
        one, other = found[0::2].mean(0), found[1::2].mean(0)
        kept = _ratio((one * other).sum(0), found.mean(0).square().sum(0))
        cosine = _cosine(torch.stack(self._foretold).mean(0), found.mean(0))
        drawn = torch.randint(len(kept), (RESAMPLED, len(kept)), generator=self._rng)
        told = float(kept[drawn].mean(1).quantile(0.025)) > TELLING
        corrected = [
            _corrected(cosine[at].mean(-1), kept[at].mean(-1)) for at in (slice(None), drawn)
        ]
        low, high = corrected[1].quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))
        return Means(
            len(found), told, (float(corrected[0]), float(low), float(high)), self._watched()
        )

    def additive(self) -> float:
        """How well the differences along two halves of a direction add up to the whole one's.

        By all draws so far, drawn again; noise is accounted for: nan where it leaves nothing.
        """
        found = torch.stack(self._found)
        wholes = torch.stack([self._difference(self._wholes, seed) for seed in self._seeds])
        both = torch.cat([found, wholes], 1)
        return _additive(both[0::2].mean(0), both[1::2].mean(0))

    def _watched(self) -> Tensor:
        asked, plain, again = torch.stack(self._plain).transpose(0, 1)
        size = plain.abs().mean(0)
        drawn_again = (again - plain).abs().mean(0) <= SAME * size
        other = (asked - plain).abs().mean(0) > OTHER * size
        watched: Tensor = drawn_again & other
        return watched


def _ends(images: Tensor, moves: Tensor, threat: Threat) -> tuple[Tensor, Tensor]:
    """The legal points to either side of each image, (K, N, C, H, W) each."""
    return legal(images + moves, threat), legal(images - moves, threat)


def _corrected(cosine: Tensor, kept: Tensor) -> Tensor:
    """A cosine with a mean, as it would be without the mean's noise; `kept` is what is no noise."""
    corrected: Tensor = cosine / kept.clamp_min(TELLING**2).sqrt()
    return corrected.clamp(-1, 1)


def _additive(one: Tensor, other: Tensor) -> float:
    """From differences by two halves of the draws, (3 * PAIRS, N) each: halves, halves, wholes."""
    sums = [part[:PAIRS] + part[PAIRS : 2 * PAIRS] for part in (one, other)]
    wholes = [part[2 * PAIRS :] for part in (one, other)]
    both = (sums[0] * wholes[1] + sums[1] * wholes[0]).sum() / 2
    square = float((sums[0] * sums[1]).sum()) * float((wholes[0] * wholes[1]).sum())
    return float(both) / square**0.5 if square > 0 else float("nan")


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return (part / whole).nan_to_num(0.0, 0.0, 0.0)


def _cosine(foretold: Tensor, found: Tensor) -> Tensor:
    """Of two (K, N), over the first dimension; 0 where either vanishes."""
    lengths = foretold.square().sum(0).sqrt() * found.square().sum(0).sqrt()
    return _ratio((foretold * found).sum(0), lengths).clamp(-1, 1)
