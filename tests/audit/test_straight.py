from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.audit.straight import Straight
from tests.audit.zoo.layers import Straight as Layer
from tests.audit.zoo.layers import Winners, numpy_bits, rounded


def gradient(model: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (result,) = torch.autograd.grad(model(leaf).sum(), leaf)
    return result


CUTS = {
    "round": Layer(rounded(4), False),
    "sign": Layer(torch.sign, False),
    "detach": Layer(torch.Tensor.detach, False),
    "numpy": Layer(numpy_bits, False),
    "floor": Layer(lambda x: (8 * x).floor() / 8, False),
}


@pytest.mark.parametrize("name", CUTS)
def test_leads_the_gradient_through_what_stops_it(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    linear = nn.Linear(16, 1)
    model = nn.Sequential(CUTS[name], nn.Flatten(), linear)
    x = torch.rand(3, 1, 4, 4, generator=rng)
    through = gradient(Straight(model), x)
    assert torch.allclose(through, linear.weight.view(1, 1, 4, 4).expand_as(x))
    assert torch.equal(Straight(model)(x), model(x))


def test_saturated_sigmoids_keep_a_gradient() -> None:
    x = torch.tensor([[200.0], [-200.0], [0.5]])
    model = nn.Sigmoid()
    assert (gradient(model, x)[:2] == 0).all()
    assert (gradient(Straight(model), x) > 0).all()
    assert torch.equal(Straight(model)(x), model(x))


def test_masks_leak() -> None:
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = Winners(0.25)
    stopped = gradient(model, x) == 0
    assert stopped.sum() == 24
    assert torch.allclose(gradient(Straight(model), x)[stopped], torch.tensor(0.1))


def test_straight_through_estimators_stay_as_they_are() -> None:
    """A network with its own estimator already has the right gradient."""
    linear = nn.Linear(16, 5)
    model = nn.Sequential(nn.Flatten(), Layer(rounded(4), True), linear)
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(gradient(Straight(model), x), gradient(model, x))


def test_hooks_are_gone_afterwards() -> None:
    layer = Layer(torch.Tensor.detach, False)
    model = nn.Sequential(layer, nn.Linear(2, 2))
    Straight(model)(torch.rand(1, 2, requires_grad=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
