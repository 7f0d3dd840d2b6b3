"""The smoothed classifier's twin: what its logits are, and that cross-entropy climbs on them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from robench.core.threat import Threat
from robench.smoothing.classifier import AGREEING, SmoothedTwin
from robench_attacks.gradient import PGD


class Lines(nn.Module):
    """Three classes, linear in two pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[4.0, 0.0], [-8.0, 6.0], [-8.0, -6.0]]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weight.T


def test_its_softmax_is_the_law_of_agreeing_draws() -> None:
    images = torch.rand(5, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    logits = SmoothedTwin(Lines(), sigma=1e-7, samples=3)(images)
    torch.testing.assert_close(logits, AGREEING * Lines()(images).log_softmax(1), atol=1e-4, rtol=0)


def test_it_averages_probabilities_over_noise() -> None:
    torch.manual_seed(0)
    logits = SmoothedTwin(Lines(), sigma=0.5, samples=200_000)(torch.full((1, 1, 1, 2), 0.3))
    torch.manual_seed(1)
    draws = Lines()(0.3 + 0.5 * torch.randn(200_000, 1, 1, 2)).softmax(1).mean(0)
    torch.testing.assert_close((logits[0] / AGREEING).exp(), draws, atol=5e-3, rtol=0)


def test_cross_entropy_points_to_the_runner_up() -> None:
    """One draw's cross-entropy points between two classes, of which one is ahead by little."""

    def direction(agreeing: float) -> torch.Tensor:
        leaf = torch.tensor([[[[0.5, 0.05]]]], requires_grad=True)
        logits = SmoothedTwin(Lines(), sigma=1e-6, samples=1)(leaf) * agreeing / AGREEING
        F.cross_entropy(logits, torch.tensor([0])).backward()
        assert leaf.grad is not None
        return F.normalize(leaf.grad.flatten(), dim=0)

    towards = F.normalize(torch.tensor([-12.0, 6.0]), dim=0)
    assert direction(AGREEING) @ towards > direction(1) @ towards + 0.02


class Chancy(Lines):
    """Answers with so much chance that the best of some iterates says nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = super().forward(images)[:, :2]
        return logits + 100 * torch.randn_like(logits)


def test_pgd_keeps_the_last_iterate_of_a_random_twin() -> None:
    torch.manual_seed(0)
    images, labels = torch.full((20, 1, 1, 2), 0.5), torch.zeros(20, dtype=torch.int64)
    attack, rng = PGD(steps=10, step=10, loss="margin"), torch.Generator().manual_seed(0)
    found = attack.run(Chancy(), images, labels, Threat("l2", 0.2), rng)
    edge = images + 0.2 * F.normalize(torch.tensor([-12.0, 6.0]), dim=0)
    torch.testing.assert_close(found, edge, atol=0.02, rtol=0)
