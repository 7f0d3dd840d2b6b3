from __future__ import annotations

from typing import Any

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


@pytest.mark.parametrize(
    "softmax",
    [
        lambda x: torch.softmax(x, 1),
        lambda x: torch.nn.functional.softmax(x, dim=-1),
        lambda x: x.softmax(dim=1),
        nn.Softmax(1),
    ],
)
def test_a_sharp_softmax_follows_the_nearest_few(softmax: Any) -> None:
    """As over a memory: the share of the nearest falls as the next ones come nearer."""
    scores = -200.0 * torch.arange(16.0)[None]
    model = Layer(lambda x: softmax(x) * torch.eye(16)[0], False)
    assert (gradient(model, scores) == 0).all()
    slope = gradient(Straight(model), scores)[0]
    assert slope[0] > 0.05
    assert (slope[1:4] < 0).all()
    assert slope[1] < slope[2] < slope[3]
    assert torch.equal(Straight(model)(scores), model(scores))


def test_masks_leak() -> None:
    x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    model = Winners(0.25)
    stopped = gradient(model, x) == 0
    assert stopped.sum() == 24
    assert (gradient(Straight(model), x)[stopped] >= 0.1).all()


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


class Signs(torch.autograd.Function):
    """Signs, whose backward pass is nobody's derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x - 0.5).sign()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradients[0] * torch.sin(1e4 * x)


class Untouched(torch.autograd.Function):
    """The identity in numpy, whose backward pass turns the gradient around."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy().copy())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        return -gradients[0]


def no_graph(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 2


FORWARD = {
    "to int": lambda x: (8 * x).to(torch.int8).to(torch.float32),
    "int": lambda x: (8 * x).int().float(),
    "long": lambda x: (8 * x).long() / 8,
    "byte": lambda x: (255 * x).byte().float(),
    "compared": lambda x: (x > 0.5).float(),
    "compared below": lambda x: 1.0 - (x <= 0.5).to(torch.float32),
    "both": lambda x: ((x > 0.2) & (x > 0.3)) * 1.0,
    "chosen": lambda x: torch.where(x > 0.5, torch.ones(()), torch.zeros(())),
    "minimum": lambda x: torch.minimum(x, torch.tensor(-1.0)),
    "maximum": lambda x: torch.maximum(torch.tensor(2.0), x),
    "exp": lambda x: torch.exp(200 * (x - 1)),
    "erf": lambda x: torch.erf(50 * x + 50),
    "one hot": lambda x: torch.nn.functional.one_hot(x.argmax(-1), x.shape[-1]).float(),
    "data": lambda x: x.data * 2,
    "custom": lambda x: Signs.apply(x),
    "custom, kept": Signs.apply,
    "custom in numpy": Untouched.apply,
    "no graph": no_graph,
    "filled": lambda x: x.detach().masked_fill(x > 0.9, 0.0),
}


@pytest.mark.parametrize("name", FORWARD)
def test_every_pixel_has_a_gradient_that_points_forward(name: str) -> None:
    """Each of these functions rises with its pixels, though autograd says nothing or nonsense."""
    model = nn.Sequential(Layer(FORWARD[name], False), nn.Flatten(), nn.Linear(16, 1))
    model[2].weight.data.fill_(1.0)
    x = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    twin = Straight(model)
    assert twin.differs(x)
    assert torch.allclose(twin(x), model(x))
    assert (gradient(twin, x) > 0).float().mean() > 0.8


def test_a_cut_that_changes_the_size_is_bridged() -> None:
    class Shrunk(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            array = x.detach().numpy()[:, :, ::2, ::2].copy()
            return torch.from_numpy(array)

    model = nn.Sequential(Shrunk(), nn.Flatten(), nn.Linear(4, 1))
    model[2].weight.data.fill_(1.0)
    assert (gradient(Straight(model), torch.rand(2, 1, 4, 4)) > 0).all()


def test_a_decoy_beside_the_true_path_is_not_followed() -> None:
    torch.manual_seed(0)
    true, decoy = (nn.Sequential(nn.Flatten(), nn.Linear(16, 3)) for _ in range(2))

    class Decoyed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                logits: Tensor = true(x)
            other = decoy(x)
            return logits + (other - other.detach())

    x = torch.rand(2, 1, 4, 4)
    model = Decoyed()
    assert torch.allclose(gradient(model, x), gradient(decoy, x))
    assert torch.allclose(gradient(Straight(model), x), gradient(true, x), atol=1e-6)


def test_what_refuses_the_stand_ins_gets_what_it_expects() -> None:
    table = torch.arange(6.0)
    model = nn.Sequential(Layer(lambda x: table[(5 * x).long()] + x, False), nn.Flatten())
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(Straight(model)(x), model(x))


def test_a_network_that_only_runs_as_it_is_runs_as_it_is() -> None:
    def stubborn(x: Tensor) -> Tensor:
        assert (x > 0.5).dtype == torch.bool
        assert x.exp().grad_fn is None or "Exp" in type(x.exp().grad_fn).__name__
        return x * 3

    model = nn.Sequential(Layer(stubborn, False), nn.Flatten())
    x = torch.rand(2, 1, 4, 4)
    assert torch.equal(gradient(Straight(model), x), torch.full_like(x, 3.0))
    assert not Straight(model).differs(x)


def test_custom_functions_are_their_own_afterwards() -> None:
    x = torch.rand(2, 4)
    before = gradient(Layer(Signs.apply, False), x)
    Straight(Layer(Signs.apply, False))(x.clone().requires_grad_())
    assert torch.equal(gradient(Layer(Signs.apply, False), x), before)
    assert torch.is_grad_enabled()
