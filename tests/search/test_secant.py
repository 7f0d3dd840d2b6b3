from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search import secant

IMAGES = (torch.rand(6, 1, 5, 5, generator=torch.Generator().manual_seed(0)) * 255).round() / 255
LABELS = torch.arange(6) % 3


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(25, 3)).eval()


class Flipped(torch.autograd.Function):
    """The identity, whose backward pass turns the sign of every other pixel."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return gradient * (1 - 2 * (torch.arange(gradient.shape[-1]) % 2))


class Bent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = Flipped.apply(x)
        return result


def judged(model: nn.Module, scores: nn.Module, threat: Threat) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return secant(model, lambda x: scores(x).detach(), IMAGES, LABELS, threat, rng)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize("eps", [0.001, 0.1, 0.5])
def test_a_linear_model_is_predicted_exactly(norm: str, grid: bool, eps: float) -> None:
    model = linear()
    assert (judged(model, model, Threat(norm, eps, grid)) > 0.999).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_bent_gradient_predicts_little(norm: str) -> None:
    model = linear()
    assert judged(nn.Sequential(Bent(), model), model, Threat(norm, 0.1)).median() < 0.6


def test_the_scale_of_gradient_and_scores_does_not_matter() -> None:
    model = linear()

    class Tiny(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = 1e-30 * model(x)
            return result

    assert (judged(Tiny(), model, Threat("linf", 0.1)) > 0.999).all()


@pytest.mark.parametrize("cut", [torch.Tensor.detach, lambda x: x * float("nan")])
def test_a_gradient_that_is_zero_or_not_finite_predicts_nothing(cut) -> None:  # type: ignore[no-untyped-def]
    model = linear()

    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = cut(model(x))
            return result

    assert (judged(Cut(), model, Threat("linf", 0.1)) == 0).all()


def test_no_images_are_no_call() -> None:
    def never(images: Tensor) -> Tensor:
        raise AssertionError("called")

    empty = secant(linear(), never, IMAGES[:0], LABELS[:0], Threat("linf", 0.1), torch.Generator())
    assert empty.shape == (0,)


def test_needs_a_radius() -> None:
    with pytest.raises(ConfigError, match="expected a threat with eps"):
        judged(linear(), linear(), Threat("linf", None))
