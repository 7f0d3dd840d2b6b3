"""The twin made from a program alone: the program's labels, the trained twin's gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from robench.integer import Program, ProgramTwin, quantize, run_reference, to_program
from tests.integer.integer_networks import CifarResNet, WideResNet, cnn4, settle
from tests.integer.integer_programs import images, programs

NETWORKS = {
    "resnet option A": (lambda: CifarResNet(1, 8, "A"), (3, 32, 32)),
    "wide_resnet": (lambda: WideResNet(1, 1), (3, 32, 32)),
    "cnn4": (cnn4, (1, 28, 28)),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("input_range", [(0, 255), (-120, 375)])
def test_it_gives_the_logits_and_the_gradients_of_the_trained_twin(
    name: str, input_range: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    pixels = torch.randint(0, 256, (32, *shape), dtype=torch.uint8)
    twin = quantize(settle(build(), shape), pixels / 255, input_range=input_range)
    program = to_program(twin)
    again = ProgramTwin(program).float()
    labels, logits = run_reference(program, pixels)
    mine = again(pixels / 255).detach()
    unit = program.ops[-1].unit / 2**32
    assert (mine - logits * unit).abs().max() < 0.05 * mine.std()
    assert (mine.argmax(1) == labels).float().mean() > 0.96
    one, other = gradient(twin, pixels / 255), gradient(again, pixels / 255)
    assert F.cosine_similarity(one.flatten(1), other.flatten(1)).median() > 0.9
    assert 0.8 < other.norm() / one.norm() < 1.25


def gradient(model: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    pixels = pixels.clone().requires_grad_()
    logits = model(pixels)
    F.cross_entropy(logits, torch.zeros(len(pixels), dtype=torch.int64)).backward()
    assert pixels.grad is not None
    return pixels.grad


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(), st.integers(0, 99))
def test_in_float64_it_gives_the_very_logits_before_their_rounding(
    program: Program, seed: int
) -> None:
    batch = torch.from_numpy(images(program, 8, seed, wide=False))
    _, logits = run_reference(program, batch)
    with torch.no_grad():
        mine = ProgramTwin(program)(batch.double() / 255) / (program.ops[-1].unit / 2**32)
    assert (mine - logits).abs().max() <= 0.5 + 1e-5


def test_its_parameters_are_the_weights_and_biases() -> None:
    model = settle(cnn4(), (1, 28, 28))
    program = to_program(quantize(model, torch.rand(4, 1, 28, 28)))
    count = sum(p.numel() for p in ProgramTwin(program).parameters())
    assert count == sum(p.numel() for p in model.parameters())
    assert isinstance(ProgramTwin(program), nn.Module)
