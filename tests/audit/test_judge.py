from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robench.audit.judge import BEHIND, DRAWS, FIRST, LEAD, MOST, Judge, target
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


def test_what_is_mostly_right_is_hardly_ever_broken() -> None:
    assert Judge(Coin(0.8), randomised=True).wrong(IMAGES, LABELS).float().mean() < 0.005


def test_what_is_nearly_always_wrong_is_wrong() -> None:
    assert Judge(Coin(0.02), randomised=True).wrong(IMAGES, LABELS).float().mean() > 0.98


def test_asks_no_more_than_decides() -> None:
    for right, answers in ((1.0, BEHIND), (0.0, LEAD)):
        coin = Coin(right)
        assert Judge(coin, randomised=True).wrong(IMAGES, LABELS).all() == (right == 0)
        assert coin.asked == answers * len(IMAGES)


def test_a_walk_that_never_ends_breaks_nothing() -> None:
    """Answers that are wrong every other time never lead by enough."""

    class Turns(Coin):
        def predict(self, images: Tensor) -> Tensor:
            self.asked += 1
            return torch.full((len(images),), self.asked % 2)

    turns = Turns(0.5)
    assert not Judge(turns, randomised=True).wrong(IMAGES, LABELS).any()
    assert turns.asked == MOST


@pytest.mark.parametrize(
    ("share", "chance"), [(0.3, 0.005), (0.4, 0.04), (0.5, 0.19), (0.6, 0.48), (0.7, 0.77)]
)
def test_chances_of_the_walk(share: float, chance: float) -> None:
    """The figures in the docstring of LEAD, and what so many coins say."""
    steps, broken = {0: 1.0}, 0.0
    for _ in range(MOST):
        after: dict[int, float] = {}
        for lead, weight in steps.items():
            after[lead + 1] = after.get(lead + 1, 0.0) + weight * share
            after[lead - 1] = after.get(lead - 1, 0.0) + weight * (1 - share)
        broken += after.pop(LEAD, 0.0)
        after.pop(-BEHIND, None)
        steps = after
    assert broken == pytest.approx(chance, abs=0.006)
    found = Judge(Coin(1 - share), randomised=True).wrong(IMAGES, LABELS).float().mean()
    assert float(found) == pytest.approx(broken, abs=0.035)


def test_clean_images_count_when_mostly_right() -> None:
    assert Judge(Coin(0.9), randomised=True).right(IMAGES, LABELS).float().mean() > 0.97
    assert Judge(Coin(0.2), randomised=True).right(IMAGES, LABELS).float().mean() < 0.05


class Listed(Coin):
    """Right or wrong as a list says, of all images alike."""

    def __init__(self, wrong: list[int]) -> None:
        super().__init__(0.5)
        self.wrong = wrong

    def predict(self, images: Tensor) -> Tensor:
        self.asked += 1
        return torch.full((len(images),), self.wrong[self.asked - 1])


@pytest.mark.parametrize(
    ("given", "answers", "right"),
    [
        ([], [0] * FIRST, True),
        ([], [1] * FIRST, False),
        ([0, 0], [0] * (FIRST - 2), True),
        ([-1, 1], [1] * (FIRST - 2), False),
        ([0, -1], [1, 1] + [0] * 5 + [1] * 3, True),
        ([0, 1], [1, 1] + [0] * 4 + [1] * 4, False),
    ],
)
def test_a_clean_image_is_asked_about_until_it_is_decided(
    given: list[int], answers: list[int], right: bool
) -> None:
    """Half of all DRAWS may be wrong; answers that were given already count."""
    listed = Listed(answers)
    known = [torch.full((3,), label) for label in given]
    assert (
        Judge(listed, randomised=True).right(IMAGES[:3], LABELS[:3], known).tolist() == [right] * 3
    )
    assert listed.asked == len(answers)
    assert len(given) + len(answers) in (FIRST, DRAWS)


def test_nothing_is_asked_about_no_image() -> None:
    coin = Coin(0.5)
    for randomised in (True, False):
        judge = Judge(coin, randomised)
        assert judge.wrong(IMAGES[:0], LABELS[:0]).tolist() == []
        assert judge.right(IMAGES[:0], LABELS[:0]).tolist() == []


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
