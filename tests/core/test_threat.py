from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import ConfigError
from robench.core.threat import (
    Threat,
    UsualThreat,
    distance,
    parse_eps,
    project_ball,
    resolve_eps,
    towards_grid,
)

USUAL = UsualThreat({"linf": (0.1, 0.2, 0.3)}, 0.3)


def images(seed: int) -> torch.Tensor:
    """Images on the 8-bit grid, extreme pixels included."""
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (4, 3, 5, 5), generator=rng)
    pixels[0, 0, 0, :2] = torch.tensor([0, 255])
    return pixels.float() / 255


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 10_000),
    eps=st.floats(0, 2) | st.sampled_from([0.0, 1 / 255, 8 / 255, 0.3]),
    norm=st.sampled_from(["linf", "l2"]),
    grid=st.booleans(),
)
def test_projection_stays_in_the_threat_model_and_keeps_its_points(
    seed: int, eps: float, norm: str, grid: bool
) -> None:
    clean = images(seed)
    wild = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed + 1))
    threat = Threat(norm, eps, grid)
    legal = threat.project(wild, clean)
    assert bool(threat.contains(legal, clean).all())
    torch.testing.assert_close(threat.project(legal, clean), legal, atol=2e-6, rtol=0)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000))
def test_grid_rounds_each_pixel_towards_the_clean_image(seed: int) -> None:
    clean = images(seed)
    rng = torch.Generator().manual_seed(seed)
    moved = (clean + 0.2 * torch.randn(clean.shape, generator=rng)).clamp(0, 1)
    rounded = towards_grid(moved, clean)
    assert bool(((rounded - clean).abs() <= (moved - clean).abs() + 1e-5).all())
    assert bool(((rounded - moved).abs() <= 1 / 255 + 1e-5).all())
    assert torch.equal(towards_grid(clean, clean), clean)


def test_nearest_rounding_would_leave_the_ball() -> None:
    clean = torch.full((1, 1, 1, 1), 100 / 255)
    edge = clean + 1.6 / 255
    assert float(((edge * 255).round() / 255 - clean).abs().max()) > 1.6 / 255
    threat = Threat("linf", 1.6 / 255)
    assert float((threat.project(edge, clean) - clean).abs().max()) == pytest.approx(1 / 255)


def test_l2_projection_is_the_nearest_point_of_the_ball() -> None:
    delta = torch.tensor([[3.0, 4.0]])
    torch.testing.assert_close(project_ball(delta, "l2", 1.0), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(project_ball(delta, "l2", 9.0), delta)


def test_outside_is_found() -> None:
    clean = images(0)
    threat = Threat("linf", 8 / 255)
    assert bool(threat.contains(clean, clean).all())
    assert not bool(threat.contains((clean + 9 / 255).clamp(0, 1), clean).all())
    assert not bool(threat.contains(clean + 0.4 / 255, clean).any())
    assert not bool(Threat("l2", None, False).contains(clean - 1.5, clean).any())


def test_distances_on_known_values() -> None:
    clean = torch.zeros(1, 1, 1, 2)
    moved = torch.tensor([[[[0.3, -0.4]]]])
    assert float(distance(moved, clean, "linf")) == pytest.approx(0.4)
    assert float(distance(moved, clean, "l2")) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (0.1, (0.1,)),
        ("8/255", (8 / 255,)),
        ("strong", ("strong",)),
        ([0, "weak", "1/2"], (0.0, "weak", 0.5)),
    ],
)
def test_eps_options(given: object, expected: object) -> None:
    assert parse_eps(given) == expected


@pytest.mark.parametrize(
    "given", [-0.1, "much", [], float("nan"), "1/0", True, float("inf"), [[0.1]], {}]
)
def test_bad_eps_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="expected eps"):
        parse_eps(given)


def test_levels_come_from_the_data_set() -> None:
    assert resolve_eps(["weak", 0.25, "strong"], USUAL, "linf") == (0.1, 0.25, 0.3)
    assert resolve_eps(None, USUAL, "linf") == (0.3,)
    with pytest.raises(ConfigError, match="set eps yourself"):
        resolve_eps("weak", USUAL, "l2")
