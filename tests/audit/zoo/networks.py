"""Networks of the zoo and their training."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robench.core.threat import Threat
from robench.search import GradientSearch
from tests.audit.zoo.lessons import Lesson


def network(
    lesson: Lesson, activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0
) -> nn.Sequential:
    """Two convolutions and two linear layers, untrained; initial weights follow the seed."""
    size, width = lesson.train.images.shape[-1], lesson.width
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(lesson.train.images.shape[1], width, 3, padding=1),
            activation(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            activation(),
            nn.Flatten(),
            nn.Linear(2 * width * ((size + 1) // 2) ** 2, 64),
            activation(),
            nn.Linear(64, 10),
        )


Target = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""Module, images, labels, random numbers -> what training minimises."""


def plain_loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
    del rng
    return F.cross_entropy(model(images), labels)


def train(
    model: nn.Module, lesson: Lesson, loss: Target = plain_loss, epochs: int = 0
) -> nn.Module:
    """Train with Adam on batches of 64; the model is changed and returned in eval mode."""
    images, labels = lesson.train.float_images(), lesson.train.labels
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    rng = torch.Generator().manual_seed(1)
    model.train()
    for _ in range(epochs or lesson.epochs):
        for index in torch.randperm(len(labels), generator=rng).split(64):
            optimizer.zero_grad()
            loss(model, images[index], labels[index], rng).backward()
            optimizer.step()
    return model.eval()


def adversarial_loss(threat: Threat) -> Target:
    """Cross-entropy on PGD examples with 7 steps (Madry et al., 2018)."""
    search = GradientSearch(steps=7, step=2.5, random_start=True, best=False)

    def loss(model: nn.Module, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        attacked = search.run(model, images, labels, threat, rng)
        return F.cross_entropy(model(attacked), labels)

    return loss
