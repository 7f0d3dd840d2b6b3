"""FAB: its projections against a linear program, its distances against linear networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat, distance
from robench.search import FabSearch, Target
from robench.search.fab import to_plane

DUAL = {"linf": 1, "l2": 2}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Linear(nn.Module):
    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, 12, generator=rng(5)))

    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ self.weight.T


def middle(count: int = 30) -> tuple[Tensor, Tensor]:
    """Images on the grid, so far from 0 and 1 that the pixel range does not bind, and labels."""
    images = 0.35 + 0.3 * torch.rand(count, 1, 3, 4, generator=rng(1))
    images = (images * 255).round() / 255
    return images, Linear()(images).argmax(1)


def nearest(images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Exact distance of each image to the nearest error of the linear network."""
    weight, logits = Linear().weight.detach(), Linear()(images).detach()
    slopes = (weight[None] - weight[labels][:, None]).norm(p=DUAL[norm], dim=2)
    gaps = logits.gather(1, labels[:, None]) - logits
    return (gaps / slopes).scatter(1, labels[:, None], torch.inf).amin(1)


def planes(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Points, slopes (some exactly 0) and values: four of each."""
    points = torch.rand(4, 1, 2, 3, generator=rng(seed))
    slope = torch.randn(4, 1, 2, 3, generator=rng(seed + 1))
    slope = slope * (torch.rand(4, 1, 2, 3, generator=rng(seed + 2)) < 0.8)
    return points, slope, 2 * torch.randn(4, generator=rng(seed + 3))


def slowest(point: np.ndarray, slope: np.ndarray, value: float, norm: str) -> float | None:
    """The length of the smallest change, or None where the plane does not meet the pixel range."""
    count = len(point)
    if norm == "linf":
        edge = np.ones((count, 1))
        bounds = [*((-one, 1 - one) for one in point), (0, None)]
        found = linprog(
            np.r_[np.zeros(count), 1],
            A_ub=np.block([[np.eye(count), -edge], [-np.eye(count), -edge]]),
            b_ub=np.zeros(2 * count),
            A_eq=np.r_[slope, 0][None],
            b_eq=[-value],
            bounds=bounds,
        )
        return float(found.fun) if found.success else None
    # The multiplier of the plane, halved into: change = clip(multiplier * slope).
    low, high = -1e4, 1e4
    for _ in range(200):
        half = (low + high) / 2
        change = np.clip(half * slope, -point, 1 - point)
        low, high = (half, high) if slope @ change + value < 0 else (low, half)
    return float(np.linalg.norm(change)) if abs(slope @ change + value) < 1e-6 else None


@pytest.mark.parametrize("norm", ["linf", "l2"])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_a_projection_is_the_smallest_change_that_reaches_the_plane(norm: str, seed: int) -> None:
    points, slope, value = planes(seed)
    change = to_plane(points, slope, value, norm)
    assert (points + change).min() >= -1e-6
    assert (points + change).max() <= 1 + 1e-6
    reached = value + (slope * change).flatten(1).sum(1)
    for one in range(4):
        flat = (part[one].flatten().double().numpy() for part in (points, slope))
        length = slowest(*flat, float(value[one]), norm)
        if length is None:
            # As far as it can: no pixel that counts is left inside the range.
            assert reached[one].sign() == value[one].sign()
            side = points[one] + change[one]
            assert ((side * (1 - side)).abs()[slope[one] != 0] < 1e-5).all()
        else:
            assert reached[one].abs() < 1e-4
            own = distance(change[one : one + 1], torch.zeros(1, 1, 2, 3), norm).item()
            assert own == pytest.approx(length, abs=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_flat_network_is_not_moved(norm: str) -> None:
    points = torch.rand(2, 1, 2, 2, generator=rng())
    assert not to_plane(points, torch.zeros_like(points), torch.ones(2), norm).any()


@pytest.mark.parametrize("targets", [0, 9])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_nearest_errors_of_a_linear_network_are_found(norm: str, targets: int) -> None:
    images, labels = middle()
    search = FabSearch(steps=30, targets=targets)
    found = search.run(Target.of(Linear()), images, labels, Threat(norm, None, False), rng())
    assert (Linear()(found).argmax(1) != labels).all()
    ratio = distance(found, images, norm) / nearest(images, labels, norm)
    assert ratio.min() >= 1
    assert ratio.max() < 1.01


def test_on_the_grid_the_nearest_level_is_found() -> None:
    images, labels = middle()
    threat = Threat("linf", None)
    found = FabSearch(steps=30, targets=9).run(Target.of(Linear()), images, labels, threat, rng())
    assert threat.contains(found, images).all()
    levels = distance(found, images, "linf") * 255
    assert (levels <= (nearest(images, labels, "linf") * 255).ceil() + 1.01).all()


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_inside_a_ball_errors_outside_do_not_count(norm: str, grid: bool) -> None:
    images, labels = middle()
    limit = nearest(images, labels, norm)
    threat = Threat(norm, float(limit.median()), grid)
    search = FabSearch(steps=30, targets=9, restarts=2)
    found = search.run(Target.of(Linear()), images, labels, threat, rng())
    wrong = Linear()(found).argmax(1) != labels
    assert threat.contains(found, images).all()
    assert found[~wrong].equal(images[~wrong])
    assert not wrong[limit > threat.eps].any()
    assert wrong[limit < 0.8 * float(limit.median())].all()


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_each_image_may_have_a_ball_of_its_own(norm: str, grid: bool) -> None:
    images, labels = middle()
    limit = nearest(images, labels, norm)
    radii = torch.where(torch.arange(len(images)) % 2 == 0, 0.7 * limit, 1.5 * limit)
    threat = Threat(norm, float(radii.max()), grid)
    search = FabSearch(steps=30, targets=9, restarts=2)
    wide = radii.view(-1, 1, 1, 1)
    found = search.run(Target.of(Linear()), images, labels, threat, rng(), wide)
    wrong = Linear()(found).argmax(1) != labels
    assert not wrong[radii < limit].any()
    assert grid or wrong[radii > limit].all()
    assert wrong.any()
    assert (distance(found, images, norm) <= radii + 1e-6).all()


def test_only_what_the_deployed_model_gets_wrong_is_returned() -> None:
    images, labels = middle()
    twin = Target.of(Linear())
    stubborn = Target(twin.twin, lambda x, y: torch.zeros_like(y, dtype=torch.bool), twin.scores)
    found = FabSearch(steps=5, targets=9).run(stubborn, images, labels, Threat("linf", 0.5), rng())
    assert found.equal(images)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0, "targets": 1},
        {"steps": 1, "targets": -1},
        {"steps": 1, "targets": 1, "restarts": 0},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        FabSearch(**options)


def test_restarts_need_a_ball() -> None:
    images, labels = middle(2)
    search = FabSearch(steps=1, targets=1, restarts=2)
    with pytest.raises(ConfigError, match="eps for restarts"):
        search.run(Target.of(Linear()), images, labels, Threat("linf", None), rng())


class Double(Linear):
    """Its logits are of double precision."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).double()


@pytest.mark.parametrize("targets", [0, 9])
def test_a_network_in_double_precision_is_searched_alike(targets: int) -> None:
    images, labels = middle()
    search = FabSearch(steps=10, targets=targets)
    found = [
        search.run(Target.of(network), images, labels, Threat("l2", 0.3), rng())
        for network in (Linear(), Double())
    ]
    assert torch.equal(*found)
