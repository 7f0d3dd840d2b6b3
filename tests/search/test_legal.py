from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.errors import ConfigError
from robench.core.threat import Threat, distance
from robench.search.legal import Legal


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=60)
@given(
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.one_of(st.floats(0.002, 2), st.integers(1, 60).map(lambda level: level / 255)),
    grid=st.booleans(),
    seed=st.integers(0, 99),
)
def test_whatever_is_stepped_to_is_legal_and_left_as_it_is_by_the_threat(
    norm: str, eps: float, grid: bool, seed: int
) -> None:
    images = torch.randint(256, (3, 2, 5, 4), generator=rng(seed)).float() / 255
    threat = Threat(norm, eps, grid)
    legal = Legal.around(images, threat)
    gradient = torch.randn(images.shape, generator=rng(seed))
    for points in (legal.draw(rng(seed)), legal.step(images, gradient, torch.full((3,), 9 * eps))):
        found = legal.snap(points)
        assert threat.contains(found, images).all()
        again = threat.project(found, images)
        assert again.equal(found) if grid else torch.allclose(again, found, atol=1e-6)


@pytest.mark.parametrize(("norm", "least"), [("linf", 1.0), ("l2", 0.995)])
def test_rounding_gives_no_part_of_the_ball_away(norm: str, least: float) -> None:
    images = torch.randint(80, 170, (4, 1, 28, 28), generator=rng()).float() / 255
    legal = Legal.around(images, Threat(norm, eps := 20 / 255 if norm == "linf" else 2.0))
    gradient = torch.randn(images.shape, generator=rng())
    found = legal.snap(legal.step(images, gradient, torch.full((4,), 9.0)))
    assert (distance(found, images, norm) / eps).min() >= least - 1e-6


def test_a_threat_without_eps_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a threat with eps"):
        Legal.around(torch.rand(1, 1, 2, 2), Threat("l2", None))
