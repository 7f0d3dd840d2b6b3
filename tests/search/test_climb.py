from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.core.threat import Threat
from robench.search import Attacked, Target, climb, margin, probability_margin
from robench.search.climb import best_rows
from tests.search.linear import Linear, linear


def attacked(
    given: Linear, norm: str = "linf", *, grid: bool = True, target: Target | None = None
) -> Attacked:
    target = target or Target.of(given.net)
    return Attacked(target, given.images, given.labels, Threat(norm, given.eps(norm), grid))


def to_all(state: Attacked, steps: int = 20) -> None:
    index = state.index
    targets = state.gaps[index].topk(state.gaps.shape[1] - 1, dim=1).indices
    rows = index.repeat_interleave(targets.shape[1])
    climb(state, rows, targets.flatten(), lambda at: state.images[at], margin, steps)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_breaks_exactly_what_can_be_broken(norm: str) -> None:
    given = linear(100)
    state = attacked(given, norm, grid=norm == "linf")
    to_all(state)
    broken = given.broken(norm, given.eps(norm))
    assert 20 < broken.sum() < 80
    assert (~state.holds).equal(broken)
    assert (given.net(state.points).argmax(1) != given.labels).equal(broken)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_remembers_the_highest_gap_of_every_class(norm: str) -> None:
    given = linear()
    state = attacked(given, norm, grid=False)
    to_all(state)
    held = state.holds
    assert torch.allclose(state.gaps[held], given.gap(norm, given.eps(norm))[held], atol=1e-2)
    nearest = given.net(state.points)[held]
    gaps = nearest - nearest.gather(1, given.labels[held][:, None])
    others = gaps.scatter(1, given.labels[held][:, None], -torch.inf)
    assert torch.allclose(others.amax(1), state.closeness[held], atol=1e-5)


def test_a_wrong_clean_image_holds_no_more() -> None:
    given = linear(4)
    wrong = Linear(given.net, given.images, (given.labels + torch.tensor([1, 0, 0, 0])) % 10)
    assert attacked(wrong).holds.tolist() == [False, True, True, True]


def test_an_image_that_falls_takes_its_rows_along() -> None:
    given, asked = linear(40), []

    class Counting(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            asked.append(len(images))
            logits: Tensor = given.net(images)
            return logits

    target = Target(Counting(), Target.of(given.net).wrong, Target.of(given.net).scores)
    state = attacked(given, target=target)
    to_all(state, steps=8)
    assert asked[:2] == [40, 9 * 40]
    assert asked[-1] == 9 * int(state.holds.sum())


def test_only_the_deployed_model_says_that_an_image_fell() -> None:
    given, bias = linear(100), 0.3

    def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
        logits = given.net(candidates).detach()
        return (logits + bias * nn.functional.one_hot(labels, 10)).argmax(1) != labels

    twin = Target.of(given.net)
    state = attacked(given, target=Target(twin.twin, wrong, twin.scores))
    to_all(state)
    assert (~state.holds).equal(given.broken("linf", given.eps("linf"), bias))
    assert wrong(state.points, given.labels).equal(~state.holds)
    # Where the twin alone is fooled the search still reports its nearest candidate.
    fooled = given.broken("linf", given.eps("linf")) & state.holds
    assert fooled.any()
    assert (given.net(state.points[fooled]).argmax(1) != given.labels[fooled]).all()


def test_the_deployed_model_may_fall_before_its_twin() -> None:
    given = linear(8)
    twin = Target.of(given.net)
    state = attacked(given, target=Target(given.net, lambda x, y: y >= 0, twin.scores))
    assert not state.holds.any()
    state.holds[:] = True
    state.judge_nearest()
    assert not state.holds.any()


def test_a_random_judge_is_not_asked_again_about_less() -> None:
    given, asked = linear(20), []

    def never(candidates: Tensor, labels: Tensor) -> Tensor:
        asked.append(len(candidates))
        return torch.zeros_like(labels, dtype=torch.bool)

    twin = Target.of(given.net)
    state = attacked(given, target=Target(given.net, never, twin.scores, randomised=True))
    for _ in range(3):
        climb(state, state.index, None, lambda at: state.images[at], margin, 30)
    assert state.holds.all()
    # Each climb alone asks 30 times about every image that the twin gets wrong.
    assert sum(asked) < 20 + 30 * int(given.broken("linf", given.eps("linf")).sum())


def test_a_random_twin_is_averaged() -> None:
    given, asked = linear(6), []

    class Noisy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            asked.append(len(images))
            logits: Tensor = given.net(images + 0.05 * torch.randn_like(images))
            return logits

    target = Target.of(Noisy(), randomised=True)
    state = Attacked(target, given.images, given.labels, Threat("linf", 0.001), samples=5)
    asked.clear()
    climb(state, state.index[:1], None, lambda at: state.images[at], margin, 2)
    assert asked[:5] == [1] * 5


def test_answers_that_are_no_numbers_are_no_success() -> None:
    given = linear(4)

    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = given.net(images)
            return logits * torch.where(images.flatten(1).std(1) > 0.05, torch.nan, 1.0)[:, None]

    state = attacked(given, target=Target(Broken(), Target.of(given.net).wrong, given.net))
    climb(state, state.index, None, lambda at: state.images[at], probability_margin, 5)
    assert state.points.isfinite().all()
    wrong = given.net(state.points).argmax(1) != given.labels
    assert wrong.equal(~state.holds)


def test_two_classes_and_one_image() -> None:
    given = linear(1, classes=2)
    state = attacked(given)
    to_all(state)
    assert (~state.holds).equal(given.broken("linf", given.eps("linf")))


def test_the_best_row_of_each_image() -> None:
    index, values = torch.tensor([3, 0, 3, 0, 5]), torch.tensor([1.0, 2.0, 4.0, -1.0, -torch.inf])
    assert sorted(best_rows(index, values).tolist()) == [1, 2, 4]
    assert best_rows(index[:0], values[:0]).tolist() == []
