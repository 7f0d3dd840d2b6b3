from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search import SquareSearch
from robench.search.square import _bump


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brightness(images: Tensor) -> Tensor:
    """Two classes: wrong (1) where the mean pixel passes 0.6."""
    level = images.flatten(1).mean(1)
    return torch.stack([torch.full_like(level, 0.6), level], dim=1)


GREY = torch.full((4, 3, 9, 9), 0.5)
ZEROS = torch.zeros(4, dtype=torch.int64)


@settings(deadline=None, max_examples=25)
@given(
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.floats(0.01, 1),
    grid=st.booleans(),
    size=st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)),
    seed=st.integers(0, 99),
)
def test_candidates_are_legal_and_never_less_wrong(
    norm: str, eps: float, grid: bool, size: tuple[int, int, int], seed: int
) -> None:
    images = torch.randint(256, (3, *size), generator=rng(seed)).float() / 255
    threat, labels = Threat(norm, eps, grid), torch.zeros(3, dtype=torch.int64)
    found = SquareSearch(queries=12).run(brightness, images, labels, threat, rng(seed))
    assert threat.contains(found, images).all()
    gain = brightness(found)[:, 1] - brightness(images)[:, 1]
    assert (gain >= 0).all()


def test_linf_reaches_the_corner_of_the_ball() -> None:
    # The mean pixel can rise to 0.6 only if nearly every pixel rises by the whole of eps.
    search = SquareSearch(queries=3000)
    found = search.run(brightness, GREY, ZEROS, Threat("linf", 0.11, grid=False), rng())
    assert brightness(found).argmax(1).tolist() == [1, 1, 1, 1]


def test_l2_spends_its_whole_radius() -> None:
    threat = Threat("l2", 0.5, grid=False)
    found = SquareSearch(queries=200).run(brightness, GREY, ZEROS, threat, rng())
    assert torch.allclose((found - GREY).flatten(1).norm(dim=1), torch.full((4,), 0.5), atol=1e-4)


def test_queries_are_counted_and_stop_at_success() -> None:
    asked: list[int] = []

    def easy(images: Tensor) -> Tensor:
        asked.append(len(images))
        hard = torch.tensor([[1.0, 0.0]]).repeat(len(images), 1)
        if len(asked) == 3:
            hard[:2] = torch.tensor([0.0, 1.0])
        return hard

    SquareSearch(queries=6).run(easy, GREY, ZEROS, Threat("linf", 0.1), rng())
    assert asked == [4, 4, 4, 2, 2, 2]


def test_votes_will_do_as_scores() -> None:
    def votes(images: Tensor) -> Tensor:
        return (brightness(images) * 50).round().long().float()

    found = SquareSearch(queries=2000).run(votes, GREY, ZEROS, Threat("linf", 0.2), rng())
    assert votes(found).argmax(1).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("ties", [False, True])
def test_flat_scores_are_crossed_only_with_ties(ties: bool) -> None:
    def flat(images: Tensor) -> Tensor:
        return torch.tensor([[1.0, 0.0]]).repeat(len(images), 1)

    found = SquareSearch(queries=3, ties=ties).run(flat, GREY, ZEROS, Threat("linf", 0.1), rng())
    assert found.equal(GREY) != ties


def test_nan_scores_are_no_success() -> None:
    def nan(images: Tensor) -> Tensor:
        return brightness(images) * float("nan")

    found = SquareSearch(queries=5).run(nan, GREY, ZEROS, Threat("linf", 0.1), rng())
    assert found.equal(GREY)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7])
def test_bumps_have_length_one_and_two_signs(side: int) -> None:
    bump = _bump(side, GREY, rng())
    assert bump.norm().item() == pytest.approx(1)
    if side > 1:
        assert bump.min() < 0 < bump.max()


@pytest.mark.parametrize("options", [{"queries": 1}, {"queries": 9, "share": 0.0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        SquareSearch(**options)  # type: ignore[arg-type]
