from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.audit.judge import DRAWS, FIRST, FRESH, LIKELY, SURELY_WRONG, Judge, target
from robench.plugin.guest import Answers, Fault


class Coin:
    """Right with a given probability, whatever the image; counts what it is asked."""

    randomised = True

    def __init__(self, right: float) -> None:
        self.right, self.asked = right, 0
        self.rng = torch.Generator().manual_seed(0)

    def predict(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return (torch.rand(len(images), generator=self.rng) > self.right).long()

    def nbytes(self) -> int:
        return 0

    def save(self, folder: object) -> None:
        raise NotImplementedError


IMAGES, LABELS = torch.zeros(2000, 1, 1, 1), torch.zeros(2000, dtype=torch.int64)


def test_one_lucky_draw_never_breaks_an_image() -> None:
    wrong = Judge(Coin(0.5), randomised=True).wrong(IMAGES, LABELS)
    assert wrong.float().mean() < 0.1
    assert Judge(Coin(0.8), randomised=True).wrong(IMAGES, LABELS).sum() == 0


def test_what_is_nearly_always_wrong_is_wrong() -> None:
    assert Judge(Coin(0.02), randomised=True).wrong(IMAGES, LABELS).float().mean() > 0.98


def test_hopeless_candidates_cost_few_answers() -> None:
    coin = Coin(1.0)
    Judge(coin, randomised=True).wrong(IMAGES, LABELS)
    assert coin.asked == (FIRST - LIKELY + 1) * len(IMAGES)


def test_asks_no_more_than_decides() -> None:
    """Always wrong: the first answers, then as many fresh ones as make most of them."""
    coin = Coin(0.0)
    assert Judge(coin, randomised=True).wrong(IMAGES, LABELS).all()
    assert coin.asked == (FIRST + FRESH // 2 + 1) * len(IMAGES)


def test_chance_of_being_sure_by_luck() -> None:
    """The figure in the docstring of SURELY_WRONG."""
    from scipy.stats import binom

    later = binom.sf(SURELY_WRONG - LIKELY - 1, DRAWS - FIRST, 0.5)
    chance = binom.pmf(FIRST, FIRST, 0.5) + binom.pmf(LIKELY, FIRST, 0.5) * later
    assert round(float(chance), 3) == 0.099


def test_clean_images_count_when_mostly_right() -> None:
    assert Judge(Coin(0.9), randomised=True).right(IMAGES, LABELS).float().mean() > 0.97
    assert Judge(Coin(0.2), randomised=True).right(IMAGES, LABELS).float().mean() < 0.05


def test_a_deterministic_model_is_asked_once() -> None:
    coin = Coin(0.0)
    assert Judge(coin, randomised=False).wrong(IMAGES, LABELS).all()
    assert coin.asked == len(IMAGES)


@pytest.mark.parametrize(
    "labels", [torch.tensor([0, -1]), torch.tensor([0, 9]), torch.zeros(2), torch.tensor([0]), [0]]
)
def test_labels_that_are_none_are_refused(labels: Any) -> None:
    deployed = Answers("the deployed model", Coin(1.0), classes=2)
    asked = target(nn.Identity(), deployed, False)
    with pytest.raises(Fault, match=r"expected 2 int64 labels in 0\.\.1, got"):
        asked.wrong(IMAGES[:2], labels)
    assert not asked.wrong(IMAGES[:2], LABELS[:2]).any()
