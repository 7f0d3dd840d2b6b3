from __future__ import annotations

import torch
from torch import nn

from robench.search import loss_gradient, margin, searching
from robench.search.gradient import finite, unit


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
