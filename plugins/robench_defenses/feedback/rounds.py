"""One round of feedback learning: class levels from margins, and examples beyond the boundary."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from robench import progress
from robench.search import unit
from robench_defenses.feedback.directions import gradient_bank, random_bank
from robench_defenses.feedback.margins import margins, move

if TYPE_CHECKING:
    from torch import Tensor, nn

    from robench import Data, Split
    from robench_defenses.feedback.options import FeedbackOptions

CHUNK = 50
"""Images whose whole bank of directions is in memory at once."""


@dataclass
class Round:
    """The evaluation, selection and generation of one round."""

    options: FeedbackOptions
    data: Data
    norm: str
    limit: float
    rng: torch.Generator
    """What the round draws: its images and its random directions."""
    random: Tensor = field(init=False)
    examples: int = 0
    """Examples generated so far."""

    def __post_init__(self) -> None:
        count = self.options.random_directions
        self.random = random_bank(self.data.shape, count, self.norm, self.rng)

    def select(self, model: nn.Module) -> tuple[Split, dict[str, Any]]:
        """Rank the classes by the margins of a few images; take each level's quota of images.

        Returns the images and the round's notes.
        """
        options = self.options
        drawn, rank = draw(self.data, options.largest_quota, self.rng)
        few = drawn.take((rank < options.smallest_quota).nonzero()[:, 0])
        start = time.perf_counter()
        nearest = self.nearest(model, few)
        seconds = time.perf_counter() - start
        means = class_means(nearest, few.labels, len(self.data.classes))
        levels = options.levels(means)
        quota = torch.tensor([options.quota(level) for level in levels])
        chosen = drawn.take((rank < quota[drawn.labels]).nonzero()[:, 0])
        return chosen, {
            "class_margins": [round(mean, 4) for mean in means],
            "levels": levels,
            "images": len(chosen),
            "directions_per_second": round(len(few) * options.bank / seconds),
        }

    def nearest(self, model: nn.Module, images: Split) -> Tensor:
        """Smallest margin of each image, at most the limit: (N,)."""
        found = []
        with progress("margins", len(images)) as advance:
            for index in torch.arange(len(images)).split(CHUNK):
                part = images.take(index)
                _, far = self.margins(model, part.float_images(), part.labels)
                found.append(far.amin(1).clamp_max(self.limit))
                advance(len(index))
        return torch.cat(found)

    def margins(self, model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The bank of directions of float images (N, D, C, H, W), and the margins along it."""
        options, training = self.options, model.training
        model.eval()
        bank = gradient_bank(
            model, images, labels, options.targets, options.gradient_steps, self.limit, self.norm
        )
        bank = torch.cat([bank, self.random.expand(len(images), *self.random.shape)], 1)
        far = margins(model, images, labels, bank, self.limit)
        model.train(training)
        return bank, far

    def generate(
        self, model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Images moved beyond the boundary along their directions of least margin, and labels.

        8-bit pixels as float32 in [0,1], shape (M, C, H, W), and the labels of their images (M,).
        """
        options = self.options
        bank, far = self.margins(model, images, labels)
        least = far.topk(min(options.directions, far.shape[1]), largest=False)
        owner, place = least.values.isfinite().nonzero(as_tuple=True)
        directions = bank[owner, least.indices[owner, place]]
        if options.control:
            directions = unit(torch.randn(directions.shape, generator=rng), self.norm)
        factor = torch.empty(len(owner)).uniform_(
            options.factor_low, options.factor_high, generator=rng
        )
        # Beyond the limit an image may lose its class: from half the pixel range on, all are grey.
        distance = (least.values[owner, place] * factor).clamp_max(self.limit)
        moved = move(images[owner], directions, distance)
        self.examples += len(owner)
        return (moved * 255).round() / 255, labels[owner]

    def loss(
        self, model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Cross-entropy on the examples of these images and on as many training images."""
        made, own = self.generate(model, images.cpu(), labels.cpu(), rng)
        train = self.data.train
        count = max(len(made), len(images))
        beside = train.take(torch.randint(len(train), (count,), generator=rng))
        x = torch.cat([made, beside.float_images()]).to(images.device)
        y = torch.cat([own, beside.labels]).to(images.device)
        return F.cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)


def draw(data: Data, count: int, rng: torch.Generator) -> tuple[Split, Tensor]:
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
    means: list[float] = (total / count.clamp_min(1)).tolist()
    return means
