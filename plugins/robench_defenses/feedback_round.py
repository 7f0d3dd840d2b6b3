"""One round of feedback learning: margins of images, class levels, examples."""

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


@dataclass(frozen=True)
class Examined:
    """What a number of images gave: each image's smallest margin, and the examples made."""

    labels: Tensor
    """Of the images: (N,)."""
    nearest: Tensor
    """Smallest margin of each image, at most the limit: (N,)."""
    examples: Tensor
    """uint8 (M, C, H, W)."""
    kept: Tensor
    """Labels of the examples, those of their images: (M,)."""
    tried: int
    """Directions along which margins were searched."""
    seconds: float


@dataclass(frozen=True)
class Round:
    """The evaluation and generation of one round; all that is random comes from `rng`."""

    options: FeedbackLearning
    norm: str
    limit: float
    rng: torch.Generator

    def run(self, model: nn.Module, data: Data) -> tuple[Split | None, dict[str, Any]]:
        """Rank the classes by the margins of a few images, then examine each class's quota.

        Returns the examples, None when no boundary lies within the limit, and the round's notes.
        """
        options, classes = self.options, len(data.classes)
        drawn, rank = draw(data, options.largest_quota, self.rng)
        known = rank < options.smallest_quota
        random = random_bank(data.shape, options.random_directions, self.norm, self.rng)
        ranked = self.examine(model, drawn.take(known.nonzero()[:, 0]), random)
        levels = options.levels(class_means(ranked, classes))
        quota = torch.tensor([options.quota(level) for level in levels])
        more = (~known & (rank < quota[drawn.labels])).nonzero()[:, 0]
        examined = (
            joined(ranked, self.examine(model, drawn.take(more), random)) if len(more) else ranked
        )
        notes = {
            "class_margins": [round(margin, 4) for margin in class_means(examined, classes)],
            "levels": levels,
            "images": len(examined.labels),
            "examples": len(examined.examples),
            "directions_per_second": round(examined.tried / examined.seconds),
        }
        made = Split(examined.examples, examined.kept) if len(examined.kept) else None
        return made, notes

    def examine(self, model: nn.Module, images: Split, random: Tensor) -> Examined:
        """Margins of images along their banks of directions, and the examples that follow."""
        start = time.perf_counter()
        nearest, examples, owners, tried = [], [], [], 0
        with progress("margins", len(images)) as advance:
            for index in torch.arange(len(images)).split(CHUNK):
                part = images.take(index)
                bank = self._bank(model, part, random)
                far = self._margins(model, part, bank)
                made, owner = self._examples(part, bank, far)
                nearest.append(far.amin(1).clamp_max(self.limit))
                examples.append(made)
                owners.append(index[owner])
                tried += far.numel()
                advance(len(index))
        return Examined(
            images.labels,
            torch.cat(nearest),
            torch.cat(examples),
            images.labels[torch.cat(owners)],
            tried,
            time.perf_counter() - start,
        )

    def _bank(self, model: nn.Module, images: Split, random: Tensor) -> Tensor:
        options = self.options
        towards = gradient_bank(
            model,
            images.float_images(),
            images.labels,
            options.targets,
            options.gradient_steps,
            self.limit,
            self.norm,
        )
        return torch.cat([towards, random.expand(len(images), *random.shape)], 1)

    def _margins(self, model: nn.Module, images: Split, bank: Tensor) -> Tensor:
        return margins(model, images.float_images(), images.labels, bank, self.limit)

    def _examples(self, images: Split, bank: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
        """Images moved beyond the boundary along their directions of least margin.

        uint8 (M, C, H, W), and which image each is made of (M,).
        """
        options = self.options
        least = far.topk(min(options.directions, far.shape[1]), largest=False)
        owner, place = least.values.isfinite().nonzero(as_tuple=True)
        directions = bank[owner, least.indices[owner, place]]
        if options.control:
            directions = unit(torch.randn(directions.shape, generator=self.rng), self.norm)
        factor = torch.empty(len(owner)).uniform_(
            options.factor_low, options.factor_high, generator=self.rng
        )
        distance = least.values[owner, place] * factor
        moved = move(images.float_images()[owner], directions, distance)
        return (moved * 255).round().to(torch.uint8), owner


def draw(data: Data, count: int, rng: torch.Generator) -> tuple[Split, Tensor]:
    """Up to `count` random training images of each class, and each one's rank in its class."""
    index, ranks = [], []
    for label in range(len(data.classes)):
        member = (data.train.labels == label).nonzero()[:, 0]
        drawn = member[torch.randperm(len(member), generator=rng)[:count]]
        index.append(drawn)
        ranks.append(torch.arange(len(drawn)))
    return data.train.take(torch.cat(index)), torch.cat(ranks)


def class_means(examined: Examined, classes: int) -> list[float]:
    """Mean of the images' smallest margins in each class; 0 for a class without images."""
    total = torch.zeros(classes).index_add_(0, examined.labels, examined.nearest)
    count = torch.bincount(examined.labels, minlength=classes)
    means: list[float] = (total / count.clamp_min(1)).tolist()
    return means


def joined(first: Examined, second: Examined) -> Examined:
    """Two lots of examined images as one."""
    return Examined(
        torch.cat([first.labels, second.labels]),
        torch.cat([first.nearest, second.nearest]),
        torch.cat([first.examples, second.examples]),
        torch.cat([first.kept, second.kept]),
        first.tried + second.tried,
        first.seconds + second.seconds,
    )


def together(*splits: Split) -> Split:
    """The images of several splits in one."""
    images = torch.cat([split.images for split in splits])
    return Split(images, torch.cat([split.labels for split in splits]))
