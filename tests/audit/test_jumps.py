"""Where a label changes on the way between two images, does the lead of its score vanish there?"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from robench.audit.checks.scores import FAR, JumpingScores, _jumps, _lead, _mean
from robench.audit.trial import SystemTrial
from robench.base.seeds import generator
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat

STARTS, ENDS = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 240 / 255)


def two(score: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Scores of two classes that differ by a function of the only pixel; the first leads at 0."""
    return lambda x: torch.stack([score(x.flatten(1)[:, 0]) / 2, -score(x.flatten(1)[:, 0]) / 2], 1)


@pytest.mark.parametrize("where", [0.1, 0.37, 0.5, 0.9])
def test_a_lead_that_vanishes_where_the_label_changes_is_no_jump(where: float) -> None:
    jumps, changed = _jumps(two(lambda x: where - x), STARTS, ENDS)
    assert changed.all()
    assert not jumps.any()


@pytest.mark.parametrize("where", [0.1, 0.37, 0.5, 0.9])
@pytest.mark.parametrize(
    ("before", "after", "jump"),
    [
        (1.0, 1.0, True),
        (1.0, 1.01 * FAR, True),
        (1.0, 0.99 * FAR, False),
        (0.99 * FAR, 1.0, False),
        (1.01 * FAR, 1.0, True),
    ],
)
def test_both_sides_of_a_jump_lead_by_a_part_of_the_clean_images_lead(
    where: float, before: float, after: float, jump: bool
) -> None:
    """The clean image leads by 1, what is nearest to the change by `before` and `after`."""

    def score(x: Tensor) -> Tensor:
        lead = torch.where(x > 0.02, torch.tensor(before), torch.tensor(1.0))
        return torch.where(x > where, torch.tensor(-after), lead)

    jumps, changed = _jumps(two(score), STARTS, ENDS)
    assert changed.all()
    assert bool(jumps) == jump


def test_the_same_label_at_both_ends_is_no_change() -> None:
    _, changed = _jumps(two(lambda x: (x - 0.5).abs() + 0.1), STARTS, ENDS)
    assert not changed.any()


def test_the_first_change_on_the_way_is_looked_at() -> None:
    """It jumps at 0.2; at 0.6 and 0.9 the lead vanishes."""

    def score(x: Tensor) -> Tensor:
        return torch.where(x < 0.2, torch.tensor(1.0), torch.where(x < 0.75, x - 0.6, 0.9 - x))

    jumps, changed = _jumps(two(score), STARTS, ENDS)
    assert jumps.all()
    assert changed.all()


def test_points_on_the_way_are_levels_of_a_pixel() -> None:
    asked: list[Tensor] = []

    def scores(x: Tensor) -> Tensor:
        asked.append(x)
        return two(lambda x: 0.5 - x)(x)

    _jumps(scores, STARTS, ENDS)
    levels = 255 * torch.cat(asked).flatten()
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    near = levels[(levels - 127.5).abs().argsort()[:2]]
    assert float(near.max() - near.min()) < 1.5


def test_a_lead_is_what_the_highest_score_has_before_the_next() -> None:
    assert _lead(torch.tensor([[1.0, 4.0, 3.5], [0.0, 0.0, -9.0]])).tolist() == [0.5, 0.0]


def test_a_mean_is_of_the_same_draws_whenever_it_is_asked() -> None:
    def noise(x: Tensor) -> Tensor:
        return torch.randn(len(x), 3)

    asked = _mean(noise, 64, generator(0))
    first = asked(STARTS)
    assert torch.equal(first, asked(STARTS))
    assert first.abs().max() < 0.5
    assert not torch.equal(first, _mean(noise, 64, generator(1))(STARTS))


class Bright(nn.Module):
    """Class 1 where the only pixel is bright."""

    def forward(self, x: Tensor) -> Tensor:
        return two(lambda pixel: 0.5 - pixel)(x)


def test_every_way_leads_to_an_image_of_another_class() -> None:
    images = torch.linspace(0, 1, 40).view(40, 1, 1, 1)
    system = System(FloatDeployed(Bright()), Bright())
    labels = (images.flatten() > 0.5).long()
    made = SystemTrial(system, images, labels, Threat("linf", 0.05), 0, thrifty=False)
    (told,) = JumpingScores(images=(15,)).look(made)
    assert (told.n, told.value, told.verdict) == (15, 0.0, "pass")
