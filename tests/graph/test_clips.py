"""A clip in front of a quantiser is done along with it: the same numbers, the same gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.core.session import Port
from robench.graph import Builder, Form, Graph, GraphTwin, Quantiser
from robench.graph.table import Clip, Operator, Quantise, Unary

FORMS: list[Form] = ["faithful", "pass_through"]


def graph(clip: Operator, quantiser: Quantiser, before: Quantiser | None = None) -> Graph:
    """x, maybe a quantiser, a clip, a quantiser."""
    builder = Builder(Port("x", (None, 3, 40), "float32"))
    if before:
        builder.add(Quantise(inputs=("x",), output="codes", quantiser=before))
    builder.add(clip)
    builder.add(Quantise(inputs=("clipped",), output="y", quantiser=quantiser))
    return builder.finish(Port("y", (None, 3, 40), "float32"))


def apart(given: Graph, form: Form, images: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers and gradients where every operator is a twin of its own."""
    leaf = images.clone().requires_grad_()
    x = leaf
    for operator in given.operators:
        builder = Builder(Port("x", (None, 3, 40), "float32"))
        builder.add(type(operator)(**{**vars(operator), "inputs": ("x",), "output": "y"}))
        x = GraphTwin(builder.finish(Port("y", (None, 3, 40), "float32")), form)(x)
    x.sum().backward()
    assert leaf.grad is not None
    return x.detach(), leaf.grad


def together(given: Graph, form: Form, images: Tensor) -> tuple[Tensor, Tensor]:
    leaf = images.clone().requires_grad_()
    twin = GraphTwin(given, form)
    assert len(twin.steps) <= len(given.operators)  # the last makes real numbers of codes
    x = twin(leaf)
    x.sum().backward()
    assert leaf.grad is not None
    return x.detach(), leaf.grad


def grid(scale: float | list[float], zero: int | list[int], reciprocal: bool) -> Quantiser:
    several = isinstance(scale, list)
    return Quantiser(
        np.asarray(scale, np.float32), np.asarray(zero, np.int64), 1 if several else None, 0, 255,
        reciprocal,
    )  # fmt: skip


scales = st.floats(0.01, 0.2).map(lambda x: float(np.float32(x)))
zeros = st.integers(0, 255)
clips = st.one_of(
    st.just(Unary(inputs=("x",), output="clipped", function="relu")),
    st.tuples(st.floats(-3, 2), st.floats(0, 4)).map(
        lambda pair: Clip(inputs=("x",), output="clipped", low=pair[0], high=pair[0] + pair[1])
    ),
    st.just(Clip(inputs=("x",), output="clipped", low=-math.inf, high=1.5)),
)


def require_same(given: Graph, form: Form, images: Tensor) -> None:
    (numbers, gradients), (expected, wanted) = (
        together(given, form, images),
        apart(given, form, images),
    )
    assert torch.equal(numbers, expected)
    torch.testing.assert_close(gradients, wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@given(clip=clips, scale=scales, zero=zeros, reciprocal=st.booleans(), seed=st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_one_grid(
    form: Form, clip: Operator, scale: float, zero: int, reciprocal: bool, seed: int
) -> None:
    images = 3 * torch.randn(4, 3, 40, generator=torch.Generator().manual_seed(seed))
    require_same(graph(clip, grid(scale, zero, reciprocal)), form, images)


@pytest.mark.parametrize("form", FORMS)
@example(
    clip=Clip(inputs=("x",), output="clipped", low=-math.inf, high=1.5),
    scale=[0.125, 0.125, float(np.float32(0.12))],
    zero=[0, 0, 0],
    reciprocal=False,
    seed=0,
)
@given(
    clip=clips,
    scale=st.lists(scales, min_size=3, max_size=3),
    zero=st.lists(zeros, min_size=3, max_size=3),
    reciprocal=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_a_grid_for_each_channel(
    form: Form, clip: Operator, scale: list[float], zero: list[int], reciprocal: bool, seed: int
) -> None:
    images = 3 * torch.randn(4, 3, 40, generator=torch.Generator().manual_seed(seed))
    require_same(graph(clip, grid(scale, zero, reciprocal)), form, images)


def test_codes_of_the_same_grid_are_clipped_all_the_same() -> None:
    same = grid(0.05, 100, False)
    relu = Unary(inputs=("codes",), output="clipped", function="relu")
    images = torch.linspace(-4, 4, 480).reshape(4, 3, 40)
    made = GraphTwin(graph(relu, same, same))(images)
    assert made.min() == 0
    assert torch.equal(made, GraphTwin(graph(relu, same, same), "pass_through")(images))
    kept = made > 0
    assert torch.equal(made[kept], (images / 0.05).round()[kept].clamp(max=155) * np.float32(0.05))


def test_a_clip_outside_of_a_grid_gives_its_bound() -> None:
    images = torch.linspace(-4, 4, 480).reshape(4, 3, 40)
    for quantiser in (grid(0.01, 0, False), grid([0.01] * 3, [0] * 3, False)):
        above = Clip(inputs=("x",), output="clipped", low=5.0, high=6.0)
        below = Clip(inputs=("x",), output="clipped", low=-6.0, high=-5.0)
        assert torch.all(GraphTwin(graph(above, quantiser))(images) == np.float32(2.55))
        assert torch.all(GraphTwin(graph(below, quantiser))(images) == 0)
