from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import ConfigError
from robench.core.threat import (
    Threat,
    ThreatConfig,
    UsualThreat,
    check_norm,
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


def test_linf_projection_clips_each_pixel_and_keeps_the_rest() -> None:
    delta = torch.tensor([[-3.0, -0.5, -0.1, 0.0, 0.1, 0.5, 3.0]])
    expected = torch.tensor([[-0.25, -0.25, -0.1, 0.0, 0.1, 0.25, 0.25]])
    assert torch.equal(project_ball(delta, "linf", 0.25), expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_ball_may_have_a_size_for_each_image(norm: str) -> None:
    delta, sizes = images(3) - images(4), [0.0, 0.1, 0.3, 9.0]
    together = project_ball(delta, norm, torch.tensor(sizes).view(4, 1, 1, 1))
    for one, eps, projected in zip(delta, sizes, together, strict=True):
        torch.testing.assert_close(projected, project_ball(one[None], norm, eps)[0])


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), norm=st.sampled_from(["linf", "l2"]))
def test_projection_without_a_grid_is_the_nearest_point(seed: int, norm: str) -> None:
    """No other point of the ball and the pixel range that we try is nearer (Euclidean)."""
    rng = torch.Generator().manual_seed(seed)
    clean = torch.full((1, 1, 2, 2), 0.5)
    wild = clean + 0.6 * (torch.rand(clean.shape, generator=rng) - 0.5)
    eps = 0.2
    threat = Threat(norm, eps, grid=False)
    nearest = (threat.project(wild, clean) - wild).norm()
    others = clean + 0.4 * (torch.rand(500, 1, 2, 2, generator=rng) - 0.5)
    legal = others[threat.contains(others, clean.expand_as(others))]
    assert len(legal) > 0
    assert bool(((legal - wild).flatten(1).norm(dim=1) >= nearest - 1e-6).all())


def test_without_eps_the_pixel_range_alone_bounds() -> None:
    clean = torch.full((1, 1, 1, 3), 0.5)
    wild = torch.tensor([[[[-0.5, 0.75, 1.5]]]])
    threat = Threat("l2", None, grid=False)
    assert torch.equal(threat.project(wild, clean), torch.tensor([[[[0.0, 0.75, 1.0]]]]))


@pytest.mark.parametrize("clean", [0.0, 1.0])
def test_rounding_never_leaves_the_pixel_range(clean: float) -> None:
    rounded = towards_grid(torch.tensor([-0.3, 0.0, 1.0, 1.3]), torch.full((4,), clean))
    assert rounded.tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("pixels", "legal"),
    [([0.0, 1.0], True), ([0.4, 0.6], True), ([-0.001, 0.5], False), ([0.5, 1.001], False)],
)
def test_a_pixel_outside_the_range_is_no_member(pixels: list[float], legal: bool) -> None:
    candidate = torch.tensor([[[pixels]]])
    clean = torch.full_like(candidate, 0.5)
    assert Threat("linf", None, grid=False).contains(candidate, clean).tolist() == [legal]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_ball_ends_at_eps_but_for_float32s_last_digits(norm: str) -> None:
    clean = torch.full((4, 1, 1, 1), 0.5)
    steps = torch.tensor([0.1, -0.1 - 5e-7, 0.1 + 3e-6, -0.1 - 3e-6]).view(4, 1, 1, 1)
    inside = Threat(norm, 0.1, grid=False).contains(clean + steps, clean)
    assert inside.tolist() == [True, True, False, False]


def test_membership_is_told_per_image() -> None:
    clean = images(1)
    moved = clean.clone()
    moved[2] = (clean[2] - 0.5).abs()
    told = Threat("linf", 4 / 255, grid=False).contains(moved, clean)
    assert told.tolist() == [True, True, False, True]


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
    both = distance(torch.cat([moved, clean]), torch.cat([clean, clean]), "linf")
    assert both.tolist() == pytest.approx([0.4, 0.0])


@pytest.mark.parametrize("norm", ["linf", "l2", None])
def test_known_norms_and_none_are_accepted(norm: str | None) -> None:
    check_norm(norm)
    assert ThreatConfig(norm=norm).norm == norm


@pytest.mark.parametrize("norm", ["l1", "", "zeta", "Linf"])
def test_other_norms_are_refused(norm: str) -> None:
    with pytest.raises(ConfigError, match=f"one of linf, l2, got '{norm}'"):
        check_norm(norm)
    with pytest.raises(ConfigError, match="expected norm"):
        ThreatConfig(norm=norm)


def test_an_attack_may_know_fewer_norms() -> None:
    check_norm("l2", ("l2",))
    with pytest.raises(ConfigError, match="one of l2, got 'linf'"):
        check_norm("linf", ("l2",))


def test_a_configuration_is_checked_when_it_is_made() -> None:
    assert ThreatConfig() == ThreatConfig(norm=None, eps=None, grid=True)
    with pytest.raises(ConfigError, match="expected eps"):
        ThreatConfig(eps="much")
    with pytest.raises(TypeError):
        ThreatConfig("linf")  # type: ignore[misc]


@pytest.mark.parametrize("value", [Threat("l2", 0.5), ThreatConfig(), USUAL])
def test_nobody_changes_a_threat_model(value: object) -> None:
    """A search cannot widen the ball that it is judged by."""
    for field in fields(value):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)


def test_examples_lie_on_the_grid_unless_told_otherwise() -> None:
    clean = torch.full((1, 1, 1, 1), 100 / 255)
    assert float(Threat("linf", 0.1).project(clean + 0.05, clean)) == pytest.approx(112 / 255)
    assert float(Threat("linf", 0.1, False).project(clean + 0.05, clean)) == pytest.approx(
        100 / 255 + 0.05
    )


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
    with pytest.raises(
        ConfigError, match=r"declares no l2 levels \(it has linf\); set eps yourself"
    ):
        resolve_eps("weak", USUAL, "l2")


def test_the_first_norm_is_the_usual_one_and_strong_the_usual_eps() -> None:
    usual = UsualThreat({"l2": (0.5, 1.0, 2.0), "linf": (0.1, 0.2, 0.3)}, 0.3)
    assert usual.norm == "l2"
    assert usual.eps("linf") == 0.3
    assert [usual.eps("l2", level) for level in ("weak", "medium", "strong")] == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("value", [0, "0", 0.0])
def test_an_empty_ball_is_a_threat_model_too(value: object) -> None:
    assert resolve_eps(value, USUAL, "linf") == (0.0,)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("l7", 0.1), "expected norm to be one of linf, l2, got 'l7'"),
        (("Linf", 0.1), "got 'Linf'; did you mean 'linf'?"),
        ((None, 0.1), "got None"),
        (("linf", -1), "expected eps of a Threat to be a finite number of at least 0"),
        (("linf", float("nan")), "got nan"),
        (("l2", float("inf")), "got inf"),
        (("linf", "8/255"), "got '8/255'; write 8/255 without quotes"),
        (("linf", "much"), "such as 8/255, got 'much'"),
        (("linf", True), "got True"),
        (("linf", [0.1]), "got [0.1]"),
        (("linf", "1/0"), "got '1/0'"),
        (("linf", 0.1, "yes"), "expected grid to be True or False, got 'yes'"),
    ],
)
def test_a_threat_that_is_none_is_one_line(given: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Threat(*given)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_threat_has_numbers_of_any_kind() -> None:
    assert Threat("linf", 1).eps == 1
    assert Threat("l2", None).eps is None
    assert Threat("linf", np.float64(0.5)).eps == 0.5
