from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat, distance
from robench.search import CarliniSearch

FREE = Threat("l2", None, grid=False)
SEARCH = CarliniSearch(search_steps=5, steps=30, learning_rate=0.05, initial_const=1.0)


class Plane(nn.Module):
    """Two classes split by a plane; the distance of an image to it is known."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        weight = torch.randn(12, generator=torch.Generator().manual_seed(0))
        self.weight, self.scale = nn.Parameter(weight / weight.norm()), scale

    def forward(self, images: Tensor) -> Tensor:
        score = images.flatten(1) @ self.weight - 0.5 * self.weight.sum()
        return torch.stack([-score, score], dim=1) * self.scale

    def away(self, length: float) -> Tensor:
        """An image that far from the plane, on the side of class 0."""
        weight = self.weight.detach()
        return (torch.full((12,), 0.5) - length * weight).view(1, 3, 2, 2)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1000.0])
@pytest.mark.parametrize("length", [0.01, 0.1, 0.3])
def test_the_distance_to_a_plane_is_found(length: float, scale: float) -> None:
    twin = Plane(scale)
    images, labels = twin.away(length), torch.tensor([0])
    found = SEARCH.run(twin, images, labels, FREE)
    assert twin(found).argmax(1).item() == 1
    assert distance(found, images, "l2").item() == pytest.approx(length, rel=0.03)


def test_images_already_wrong_come_back_clean() -> None:
    twin = Plane()
    images = torch.cat([twin.away(0.1), twin.away(-0.1)])
    found = SEARCH.run(twin, images, torch.tensor([0, 0]), FREE)
    assert found[1].equal(images[1])
    assert not found[0].equal(images[0])


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), grid=st.booleans())
def test_what_is_returned_is_wrong_and_legal_or_clean(seed: int, grid: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(4, 12, generator=rng)
    twin = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    twin[1].weight.data.copy_(weight)
    images = torch.randint(256, (5, 3, 2, 2), generator=rng).float() / 255
    labels, threat = twin(images).argmax(1), Threat("l2", None, grid=grid)
    search = CarliniSearch(search_steps=3, steps=6, learning_rate=0.05, initial_const=1.0)
    found = search.run(twin, images, labels, threat)
    assert threat.contains(found, images).all()
    still = (found == images).flatten(1).all(1)
    assert ((twin(found).argmax(1) != labels) | still).all()


def test_a_flat_twin_leaves_images_clean() -> None:
    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[1.0, 0.0]]).repeat(len(images), 1) + 0 * images.mean()

    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert SEARCH.run(Flat(), images, torch.zeros(3, dtype=torch.int64), FREE).equal(images)


def test_nan_answers_are_no_success() -> None:
    class Nan(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :3] * float("nan")

    images = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert SEARCH.run(Nan(), images, torch.zeros(3, dtype=torch.int64), FREE).equal(images)


@pytest.mark.parametrize("name", ["search_steps", "steps", "learning_rate", "initial_const"])
def test_options_out_of_range_are_refused(name: str) -> None:
    options = {"search_steps": 1, "steps": 1, "learning_rate": 0.1, "initial_const": 1.0}
    with pytest.raises(ConfigError, match=f"expected {name} > 0"):
        CarliniSearch(**(options | {name: 0}))  # type: ignore[arg-type]
