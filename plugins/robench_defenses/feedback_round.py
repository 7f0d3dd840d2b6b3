"""One round of feedback learning: margins of a pool of images, class levels, examples."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from robench import Split
from robench.progress import progress
from robench.search.gradient import unit
from robench_defenses.feedback_directions import gradient_bank, random_bank
from robench_defenses.feedback_margins import margins, move

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench import Data
    from robench_defenses.feedback import FeedbackLearning

CHUNK = 50
"""Images whose whole bank of directions is in memory at once."""
BRACKETS, BISECTIONS = 8, 4


@dataclass(frozen=True)
class Found:
    """What a round generated, and what its notes say."""

    examples: Split
    notes: dict[str, Any]

    def joined(self, train: Split) -> Split:
        """The training images and the examples beside them."""
        images = torch.cat([train.images, self.examples.images])
        return Split(images, torch.cat([train.labels, self.examples.labels]))


@dataclass(frozen=True)
class Round:
    """The evaluation and generation of one round; all that is random comes from `rng`."""

    options: FeedbackLearning
    norm: str
    limit: float
    rng: torch.Generator

    def run(self, model: nn.Module, data: Data) -> Found:
        """Measure, rank and generate."""
        options, start = self.options, time.perf_counter()
        pool, rank = draw_pool(data, options.largest_quota, self.rng)
        random = random_bank(data.shape, options.random_directions, self.norm, self.rng)
        parts: list[_Part] = []
        with progress("margins", len(pool)) as advance:
            for x, y in zip(
                pool.float_images().split(CHUNK), pool.labels.split(CHUNK), strict=True
            ):
                parts.append(self._examine(model, x, y, random))
                advance(len(x))
        mean = class_means(
            torch.cat([part.nearest for part in parts]), pool.labels, len(data.classes)
        )
        levels = options.levels(mean)
        quota = torch.tensor([options.quota(level) for level in levels])
        chosen = rank < quota[pool.labels]
        examples = _taken(parts, pool.labels, chosen)
        tried = sum(part.tried for part in parts)
        notes = {
            "class_margins": [round(margin, 4) for margin in mean],
            "levels": levels,
            "images": int(chosen.sum()),
            "examples": len(examples),
            "directions_per_second": round(tried / (time.perf_counter() - start)),
        }
        return Found(examples, notes)

    def _examine(self, model: nn.Module, images: Tensor, labels: Tensor, random: Tensor) -> _Part:
        options = self.options
        towards = gradient_bank(
            model, images, labels, options.targets, options.gradient_steps, self.limit, self.norm
        )
        bank = torch.cat([towards, random.expand(len(images), *random.shape)], 1)
        far = margins(model, images, labels, bank, self.limit, BRACKETS, BISECTIONS)
        least = far.topk(min(options.directions, far.shape[1]), largest=False)
        image, place = least.values.isfinite().nonzero(as_tuple=True)
        directions = bank[image, least.indices[image, place]]
        if options.control:
            directions = unit(torch.randn(directions.shape, generator=self.rng), self.norm)
        factor = torch.empty(len(image)).uniform_(
            options.factor_low, options.factor_high, generator=self.rng
        )
        moved = move(images[image], directions, least.values[image, place] * factor)
        nearest = far.amin(1).clamp_max(self.limit)
        return _Part(nearest, (moved * 255).round().to(torch.uint8), image, far.numel())


@dataclass(frozen=True)
class _Part:
    """What a chunk of the pool gave."""

    nearest: Tensor
    """Each image's smallest margin, at most the limit: (N,)."""
    examples: Tensor
    """uint8 (M, C, H, W)."""
    image: Tensor
    """Which image of the chunk each example is made of: (M,)."""
    tried: int


def draw_pool(data: Data, count: int, rng: torch.Generator) -> tuple[Split, Tensor]:
    """Up to `count` random training images of each class, and each one's rank in its class."""
    index, ranks = [], []
    for label in range(len(data.classes)):
        member = (data.train.labels == label).nonzero()[:, 0]
        drawn = member[torch.randperm(len(member), generator=rng)[:count]]
        index.append(drawn)
        ranks.append(torch.arange(len(drawn)))
    return data.train.take(torch.cat(index)), torch.cat(ranks)


def class_means(nearest: Tensor, labels: Tensor, classes: int) -> list[float]:
    """Mean of the images' smallest margins in each class; 0 for a class without images."""
    total = torch.zeros(classes).index_add_(0, labels, nearest)
    count = torch.bincount(labels, minlength=classes)
    return (total / count.clamp_min(1)).tolist()


def _taken(parts: list[_Part], labels: Tensor, chosen: Tensor) -> Split:
    """The examples of the chosen images of the pool, with the labels of their images."""
    image = torch.cat([part.image + CHUNK * k for k, part in enumerate(parts)])
    examples = torch.cat([part.examples for part in parts])
    kept = chosen[image]
    return Split(examples[kept], labels[image[kept]])
