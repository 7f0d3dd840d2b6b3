from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.core.batches import ASKED, at_once
from robench.search import gradient as gradient_of
from robench.search import loss_gradient, margin, searching
from robench.search.gradient import FIRST, LossGradient, finite, unit


def test_searching_puts_modes_gradients_and_flags_back() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    net.train()
    net[1].eval()
    net[0].weight.grad = torch.ones(4, 3)
    net[3].bias.requires_grad_(False)
    with searching(net):
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        net.zero_grad()
    assert [module.training for module in net] == [True, False, True, True]
    assert [p.requires_grad for p in net.parameters()] == [True, True, True, True, True, False]
    assert net[0].weight.grad is not None
    assert net[0].weight.grad.eq(1).all()


def test_searching_puts_everything_back_after_an_error() -> None:
    net = nn.Linear(2, 2)
    try:
        with searching(net):
            raise KeyError
    except KeyError:
        pass
    assert net.weight.requires_grad
    assert net.training


def test_it_works_under_no_grad() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad(), searching(net):
        here = loss_gradient(net, torch.rand(2, 1, 2, 2), torch.tensor([0, 1]), margin)
    assert here.gradient is not None
    assert here.gradient.abs().sum() > 0


def test_a_twin_without_gradients_gives_zeros() -> None:
    class Stopped(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.detach().flatten(1)

    here = loss_gradient(Stopped(), torch.rand(2, 1, 2, 2), torch.tensor([0, 1]), margin)
    assert here.gradient is not None
    assert here.gradient.shape == (2, 1, 2, 2)
    assert not here.gradient.any()


def test_samples_average_a_random_twin() -> None:
    class Coin(nn.Module):
        """Its gradient is 1 or 3 in turn."""

        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            own = images.flatten(1)[:, :1] * (1 + 2 * (self.calls % 2))
            return torch.cat([-own, torch.zeros_like(own)], dim=1)

    here = loss_gradient(Coin(), torch.rand(1, 1, 1, 1), torch.tensor([0]), margin, samples=4)
    assert here.gradient is not None
    assert here.gradient.item() == 2.0


def test_finite_replaces_nan_and_infinity_by_zero() -> None:
    gradient = torch.tensor([float("nan"), float("inf"), -float("inf"), 2.0])
    assert finite(gradient).tolist() == [0.0, 0.0, 0.0, 2.0]


def test_unit_survives_gradients_whose_squares_underflow() -> None:
    tiny = torch.tensor([[[[3e-30, 4e-30]]]])
    assert torch.allclose(unit(tiny, "l2"), torch.tensor([[[[0.6, 0.8]]]]))
    assert not unit(torch.zeros(1, 1, 1, 2), "l2").any()


class Counted(nn.Module):
    """A linear network that notes how many images it met at once."""

    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(pixels, 3)
        self.met: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.met.append(len(images))
        logits: Tensor = self.linear(images.flatten(1).square())
        return logits


def asked(side: int, count: int) -> tuple[Counted, LossGradient, Tensor]:
    torch.manual_seed(0)
    net, images = Counted(3 * side * side), torch.rand(count, 3, side, side)
    with searching(net):
        here = loss_gradient(net, images, torch.zeros(count, dtype=torch.long), margin)
    return net, here, images


def test_small_images_are_one_batch() -> None:
    net, _, _ = asked(32, 600)
    assert net.met == [600]


def test_large_images_are_asked_about_few_at_a_time_with_the_same_answers() -> None:
    net, here, images = asked(224, 60)
    assert max(net.met) == at_once((3, 224, 224), ASKED) < sum(net.met) == 60
    leaf = images.requires_grad_()
    expected = margin(net(leaf), torch.zeros(60, dtype=torch.long))
    (gradient,) = torch.autograd.grad(expected.sum(), leaf)
    assert here.gradient is not None
    assert torch.allclose(here.gradient, gradient, atol=1e-6)
    assert torch.allclose(here.loss, expected, atol=1e-5)


def test_a_network_that_keeps_much_is_asked_about_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    # It keeps an image for the square, and the square for nothing: its weights are frozen.
    monkeypatch.setattr(gradient_of, "SAVED", 9 * 3 * 224 * 224)
    net, _, _ = asked(224, 30)
    assert net.met[0] == FIRST
    assert max(net.met) < 10
    assert sum(net.met) == 30
