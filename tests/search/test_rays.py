"""A search that asks for labels alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search import RaySearch
from tests.search.linear import Linear, linear


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bright(candidates: Tensor, labels: Tensor) -> Tensor:
    """Wrong where the mean pixel passes a half."""
    return (candidates.flatten(1).mean(1) > 0.5) == (labels == 0)


def searched(network: Linear, norm: str, eps: float, queries: int) -> Tensor:
    """Which images the search breaks."""

    def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            answers: Tensor = network.net(candidates).argmax(1)
        return answers != labels

    threat, search = Threat(norm, eps), RaySearch(queries=queries)
    found = search.run(wrong, network.images, network.labels, threat, rng())
    assert threat.contains(found, network.images).all()
    return wrong(found, network.labels)


@settings(deadline=None, max_examples=25)
@given(
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.floats(0.01, 1),
    grid=st.booleans(),
    size=st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)),
    seed=st.integers(0, 99),
)
def test_what_is_returned_is_legal_and_wrong_or_the_image_itself(
    norm: str, eps: float, grid: bool, size: tuple[int, int, int], seed: int
) -> None:
    images = torch.randint(256, (4, *size), generator=rng(seed)).float() / 255
    labels = (images.flatten(1).mean(1) > 0.5).long()

    def wrong(candidates: Tensor, told: Tensor) -> Tensor:
        assert candidates.min() >= 0
        assert candidates.max() <= 1
        levels = candidates * 255
        assert not grid or torch.allclose(levels, levels.round(), atol=1e-3)
        return bright(candidates, told)

    threat = Threat(norm, eps, grid)
    found = RaySearch(queries=40).run(wrong, images, labels, threat, rng(seed))
    again = RaySearch(queries=40).run(bright, images, labels, threat, rng(seed))
    assert torch.equal(found, again)
    assert threat.contains(found, images).all()
    moved = (found != images).flatten(1).any(1)
    assert bright(found, labels)[moved].all()
    assert not bright(found, labels)[~moved].any()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_it_comes_near_what_a_linear_network_can_lose(norm: str) -> None:
    network = linear()
    eps = network.eps(norm)
    best, broken = network.broken(norm, eps), searched(network, norm, 1.2 * eps, 2000)
    assert best.float().mean() > 0.4
    # With a fifth more room it finds most of what the closed form does.
    assert (broken & best).sum() >= 0.7 * best.sum()


def test_no_more_labels_are_asked_than_allowed() -> None:
    counted = 0

    def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
        nonlocal counted
        counted += len(labels)
        return bright(candidates, labels)

    images = torch.full((5, 1, 4, 4), 0.2)
    labels = torch.zeros(5, dtype=torch.int64)
    found = RaySearch(queries=30).run(wrong, images, labels, Threat("linf", 0.1), rng())
    assert torch.equal(found, images)
    assert counted == 150


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="queries >= 2, got 1"):
        RaySearch(queries=1)
    image, label = torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ConfigError, match="a threat with eps"):
        RaySearch(queries=5).run(bright, image, label, Threat("linf", None), rng())
