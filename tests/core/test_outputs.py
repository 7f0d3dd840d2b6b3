"""What a network ends in, told by what it answers: logits are never accused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from robench.core.outputs import ending, normalised

IMAGES = torch.rand(16, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def network(last: nn.Module | None, classes: int, seed: int, scale: float = 1.0) -> nn.Module:
    torch.manual_seed(seed)
    linear = nn.Linear(16, classes)
    with torch.no_grad():
        linear.weight *= scale
    return nn.Sequential(nn.Flatten(), linear, *([last] if last else []))


class Functional(nn.Module):
    """A network whose forward ends in a function."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.network, self.function = network(None, 5, 0), function

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.network(images)
        if self.function == "sigmoid":
            return torch.sigmoid(logits)
        made: torch.Tensor = getattr(torch, self.function)(logits, 1)
        return made


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 12),
    scale=st.floats(0.01, 300),
    last=st.sampled_from([None, nn.ReLU(), nn.Softplus(), nn.Tanh(), nn.Hardsigmoid()]),
)
def test_logits_are_never_accused(
    seed: int, classes: int, scale: float, last: nn.Module | None
) -> None:
    """Not those that are all above 0 either, or all below 1."""
    assert ending(network(last, classes, seed, scale), IMAGES) == ""


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 300), classes=st.integers(2, 1000))
def test_what_a_softmax_made_is_told(seed: int, scale: float, classes: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(16, classes, generator=rng) * scale
    for rounded in (torch.float32, torch.bfloat16):
        made = logits.softmax(1).to(rounded).float()
        if rounded == torch.float32 or float((made.sum(1) - 1).abs().max()) < 1e-3:
            assert normalised(made) == "softmax"
    assert normalised(logits.log_softmax(1)) == "log_softmax"
    assert normalised(logits) == ""


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "sigmoid"])
def test_an_ending_is_told_as_a_layer_and_as_a_function(function: str) -> None:
    layers = {"softmax": nn.Softmax(1), "log_softmax": nn.LogSoftmax(1), "sigmoid": nn.Sigmoid()}
    assert ending(network(layers[function], 5, 0), IMAGES) == function
    assert ending(Functional(function), IMAGES) == function


def test_one_answer_for_all_images_says_nothing() -> None:
    assert normalised(torch.full((16, 10), 0.1)) == ""
    assert normalised(torch.tensor([[0.2, 0.8]])) == ""
