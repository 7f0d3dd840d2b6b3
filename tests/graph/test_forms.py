"""The three forms of a twin: the same numbers, gradients as they are stated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.graph import Builder, Graph, GraphTwin, Port, Quantiser, output_quantisers
from robench.graph.table import Clip, MatMul, Quantise, Softmax, Unary
from robench.graph.twin import Form

WIDTH = 6
FORMS: tuple[Form, ...] = ("faithful", "open_output", "pass_through")


def quantiser(scale: float, zero: int, low: int = 0, high: int = 255) -> Quantiser:
    return Quantiser(np.asarray(scale, np.float32), np.asarray(zero, np.int64), None, low, high)


def table(*quantisers: Quantiser, after: str = "") -> Graph:
    """An input quantised, times the identity, quantised again."""
    builder = Builder(Port("x", (None, WIDTH), "float32"))
    eye = builder.constant("eye", np.eye(WIDTH, dtype=np.float32), np.float32(1))
    name = "x"
    for place, one in enumerate(quantisers):
        if place:
            name = builder.add(MatMul(inputs=(name, eye), output=f"m{place}"))
        name = builder.add(Quantise(inputs=(name,), output=f"q{place}", quantiser=one))
    if after:
        name = builder.add(Softmax(inputs=(name,), output="s", axis=1))
    return builder.finish(Port(name, (None, WIDTH), "float32"))


def run(graph: Graph, form: Form, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    out = GraphTwin(graph, form)(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    return out.detach(), gradient


# Steps of 0.5 from -2 to 3: codes 0 to 10, zero at 4.
X = torch.tensor([[-9.0, -1.9, 0.26, 0.25, 0.75, 9.0]])
ROUNDED = torch.tensor([[-2.0, -2.0, 0.5, 0.0, 1.0, 3.0]])


def test_rounding_is_to_even_and_passes_the_gradient_between_the_bounds() -> None:
    out, gradient = run(table(quantiser(0.5, 4, 0, 10)), "faithful", X)
    assert torch.equal(out, ROUNDED)
    assert torch.equal(gradient, torch.tensor([[0.0, 1, 1, 1, 1, 0]]))


def test_saturation_passes_the_gradient_in_the_form_that_says_so() -> None:
    out, gradient = run(table(quantiser(0.5, 4, 0, 10)), "pass_through", X)
    assert torch.equal(out, ROUNDED)
    assert torch.equal(gradient, torch.ones(1, WIDTH))


def test_a_bound_at_zero_is_a_relu_in_every_form() -> None:
    for form in ("faithful", "pass_through"):
        out, gradient = run(table(quantiser(0.5, 0, 0, 10)), form, X)
        assert torch.equal(out, ROUNDED.clamp(0).where(X < 9, torch.tensor(5.0)))
        last = 0.0 if form == "faithful" else 1.0
        assert torch.equal(gradient, torch.tensor([[0.0, 0, 1, 1, 1, last]]))


def test_the_open_output_neither_rounds_nor_saturates() -> None:
    graph = table(quantiser(0.25, 100), quantiser(0.5, 4, 0, 10))
    assert output_quantisers(graph) == {"q1"}
    out, gradient = run(graph, "open_output", X)
    assert torch.equal(out, torch.tensor([[-9.0, -2.0, 0.25, 0.25, 0.75, 9.0]]))
    assert torch.equal(gradient, torch.ones(1, WIDTH))


def test_quantisers_on_both_sides_of_a_softmax_are_the_output_s() -> None:
    builder = Builder(Port("x", (None, WIDTH), "float32"))
    builder.add(Quantise(inputs=("x",), output="a", quantiser=quantiser(0.5, 4)))
    builder.add(Softmax(inputs=("a",), output="s", axis=1))
    builder.add(Quantise(inputs=("s",), output="b", quantiser=quantiser(1 / 256, 0)))
    assert output_quantisers(builder.finish(Port("b", (None, WIDTH), "float32"))) == {"a", "b"}


@pytest.mark.parametrize("form", FORMS)
def test_a_clip_is_the_network_s_own_and_stops_the_gradient(form: Form) -> None:
    builder = Builder(Port("x", (None, WIDTH), "float32"))
    builder.add(Quantise(inputs=("x",), output="q", quantiser=quantiser(0.25, 100)))
    builder.add(Clip(inputs=("q",), output="c", low=0.0, high=6.0))
    builder.add(Unary(inputs=("c",), output="y", function="identity"))
    out, gradient = run(builder.finish(Port("y", (None, WIDTH), "float32")), form, X)
    assert torch.equal(out, torch.tensor([[0.0, 0, 0.25, 0.25, 0.75, 6]]))
    assert torch.equal(gradient, torch.tensor([[0.0, 0, 1, 1, 1, 0]]))


def test_a_grid_for_each_channel_rounds_on_each_its_own() -> None:
    scales = np.asarray([0.5, 1, 2, 0.5, 1, 2], np.float32)
    along = Quantiser(scales, np.asarray([4, 4, 4, 0, 0, 0], np.int64), 1, 0, 10)
    x = torch.tensor([[0.3, 0.3, 9.0, -1.0, 0.6, 99.0]])
    out, gradient = run(table(along), "faithful", x)
    assert torch.equal(out, torch.tensor([[0.5, 0.0, 8.0, 0.0, 1.0, 20.0]]))
    assert torch.equal(gradient, torch.tensor([[1.0, 1, 1, 0, 1, 0]]))
    _, gradient = run(table(along), "pass_through", x)
    assert torch.equal(gradient, torch.tensor([[1.0, 1, 1, 0, 1, 1]]))


def test_sums_beyond_float32_are_exact_where_the_file_sums_integers() -> None:
    rng = np.random.default_rng(0)
    codes, x = rng.integers(1, 128, (1500, 8)), rng.integers(0, 256, (16, 1500))
    builder = Builder(Port("x", (None, 1500), "float32"))
    builder.constant("w", codes.astype(np.float32), np.float32(1))
    builder.add(Quantise(inputs=("x",), output="q", quantiser=quantiser(1.0, 0)))
    builder.add(MatMul(inputs=("q", "w"), output="y", exact=True))
    twin = GraphTwin(builder.finish(Port("y", (None, 8), "float32")))
    exact = torch.from_numpy(x @ codes).float()  # each rounded once
    assert torch.equal(twin(torch.from_numpy(x).float()), exact)
