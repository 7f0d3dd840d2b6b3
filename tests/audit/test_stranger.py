"""The same search on two systems, and a system that forgets, on networks of a few pixels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.audit.stranger import REPLAYED, STARTS, Comparison
from robench.audit.trial import FEW, SystemTrial
from robench.audit.unasked import NotCopied, Unasked
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.search import GradientSearch
from tests.audit.zoo.exhibit import Randomised

STEPS = 10
IMAGES = torch.linspace(0.3, 0.7, 12).view(3, 1, 2, 2)
LABELS = torch.tensor([0, 0, 1])
THREAT = Threat("linf", 0.1)


class Bright(nn.Module):
    """Class 1 where an image is bright; notes what it was asked, and how it was seeded."""

    def __init__(self, noise: float = 0.0, turn: float = 1.0, lift: float = 0.0) -> None:
        super().__init__()
        self.noise, self.turn, self.lift = noise, turn, lift
        self.asked: list[int] = []
        self.draws: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        draw = torch.randn(())
        self.asked.append(len(x))
        self.draws.append(float(draw))
        score = x.flatten(1).mean(1) - 0.5 + self.noise * draw
        score = score.detach() + self.turn * (score - score.detach()) + self.lift
        return torch.stack([-score, score], 1)


def shipped(network: nn.Module, kind: type[FloatDeployed] = FloatDeployed) -> System:
    return System(kind(network), network.eval())


def comparison(**changed: object) -> Comparison:
    search = GradientSearch(steps=STEPS, random_start=True)
    return replace(Comparison(IMAGES, LABELS, THREAT, search, 5, 3), **changed)  # type: ignore[arg-type]


def test_both_get_the_same_seed_for_each_question_and_another_for_the_next() -> None:
    one, other = Bright(noise=0.1), Bright(noise=0.1)
    found = [comparison().candidates(shipped(each))[0] for each in (one, other)]
    assert torch.equal(*found)
    assert one.draws == other.draws
    assert len(set(one.draws)) == STEPS + 1
    assert bool(THREAT.contains(found[0], IMAGES).all())


def test_the_last_of_some_searches_starts_elsewhere_by_other_draws() -> None:
    network = Bright(noise=0.1)
    _, last = comparison().candidates(shipped(network), STARTS)
    assert len(network.asked) == STARTS * (STEPS + 1)
    assert len(set(network.draws)) == STARTS * (STEPS + 1)
    _, first = comparison().candidates(shipped(network))
    assert len(first) == len(last) == REPLAYED
    assert {one.seed for one in first}.isdisjoint(one.seed for one in last)
    assert not torch.equal(first[0].points, last[0].points)


def test_a_longer_search_of_some_images() -> None:
    network = Bright()
    long = comparison().long(30, torch.tensor([2, 0]))
    assert torch.equal(long.images, IMAGES[[2, 0]])
    assert torch.equal(long.labels, LABELS[[2, 0]])
    long.candidates(shipped(network))
    assert network.asked == [2] * 31


@pytest.mark.parametrize(
    ("other", "same"),
    [(Bright(noise=0.1), True), (Bright(), False), (Bright(0.1, turn=2), False),
     (Bright(0.1, lift=0.01), False)],
)  # fmt: skip
def test_what_a_search_met_is_the_same_to_the_bit(other: Bright, same: bool) -> None:
    _, questions = comparison().candidates(shipped(Bright(noise=0.1)))
    assert comparison().same(shipped(other), questions) is same
    assert comparison().same(shipped(other), [])


def test_the_last_question_counts_as_the_first() -> None:
    _, questions = comparison().candidates(shipped(Bright()))
    questions[-1] = replace(questions[-1], loss=questions[-1].loss + 1)
    assert not comparison().same(shipped(Bright()), questions)


@pytest.mark.parametrize(("at_once", "asked"), [(3, [3]), (2, [2, 1])])
def test_labels_are_asked_of_few_images_at_once(at_once: int, asked: list[int]) -> None:
    network = Bright()
    right = comparison(at_once=at_once).right(shipped(network), IMAGES)
    assert network.asked == asked
    assert right.tolist() == [True, True, True]
    assert comparison(labels=1 - LABELS).right(shipped(network), IMAGES).sum() == 0


# -- a system that forgets -------------------------------------------------------------------------


class Counted(Bright):
    """Its draws are the count of its questions, or everybody's."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.own = own

    def forward(self, x: Tensor) -> Tensor:
        logits = super().forward(x)
        drawn = len(self.asked) if self.own else self.draws[-1]
        return logits + drawn * torch.tensor([0.0, 1.0])


@pytest.mark.parametrize("own", [True, False])
def test_a_random_system_is_not_met_anew_where_its_draws_are_what_it_keeps(own: bool) -> None:
    made = SystemTrial(shipped(Counted(own), Randomised), IMAGES, LABELS, THREAT, 0)
    used, unasked = made.system, made.unasked
    assert unasked is not None
    assert unasked.repeats(IMAGES) is own
    made.meet_anew(unasked)
    assert (made.system is used) is own


def test_a_system_that_always_answers_alike_is_met_anew() -> None:
    made = SystemTrial(shipped(Bright()), IMAGES, LABELS, THREAT, 0)
    used, unasked = made.system, made.unasked
    assert unasked is not None
    made.tried["margin"], made.known = made.held, IMAGES
    made.meet_anew(unasked)
    assert made.system is not used
    assert (made.tried, made.alone, made.forms, made.known) == ({}, {}, {}, None)


def test_few_images_tell_whether_draws_repeat() -> None:
    network = Counted(own=True)
    images = torch.rand(FEW + 5, 1, 2, 2)
    made = SystemTrial(
        shipped(network, Randomised), images, torch.zeros(FEW + 5, dtype=torch.int64), THREAT, 0
    )
    asked: list[int] = []

    class Noting:
        def repeats(self, images: Tensor) -> bool:
            asked.append(len(images))
            return True

    made.meet_anew(Noting())  # type: ignore[arg-type]
    assert asked == [FEW]


def ask_all(system: System) -> list[Callable[[], object]]:
    deployed, twin, other = system.deployed, system.twin, system.others["open"]
    return [
        lambda: deployed.predict(IMAGES),
        lambda: deployed.logits(IMAGES),  # type: ignore[attr-defined]
        lambda: twin(IMAGES),
        lambda: other(IMAGES),
    ]


def test_whoever_is_asked_forgets_and_the_system_itself_is_left_as_it_was() -> None:
    network, other = Counted(own=True), Counted(own=True)
    system = System(FloatDeployed(network), network, {"open": other}, black_box=False)
    unasked = Unasked(system)
    strange = unasked.forgetting()
    for ask in ask_all(strange):
        assert str(ask()) == str(ask())
    assert (network.asked, other.asked) == ([], [])
    assert not unasked.changed()
    for number, ask in enumerate(ask_all(system), 1):
        ask()
        assert len(network.asked) + len(other.asked) == number
    assert unasked.changed()
    assert strange.deployed.nbytes() == system.deployed.nbytes()
    assert strange.deployed.randomised is False
    assert strange.black_box is False


LAST: list[int] = []


class InAGlobal(Bright):
    """Keeps what it was asked outside itself."""

    def forward(self, x: Tensor) -> Tensor:
        LAST.append(len(x))
        return super().forward(x) + len(LAST)


def test_what_lies_outside_is_put_back_whatever_happens() -> None:
    LAST.clear()
    unasked = Unasked(shipped(InAGlobal()))
    LAST.append(7)
    kept = LAST
    with suppress(ZeroDivisionError), unasked.anew() as fresh:
        fresh.twin(IMAGES)
        assert LAST == [3]
        raise ZeroDivisionError
    assert LAST is kept
    assert LAST == [7]
    assert unasked.changed()


class Holding(Bright):
    """A copy of it holds the same list."""

    def __deepcopy__(self, memo: object) -> Holding:
        twin = Holding()
        twin.asked = self.asked
        return twin


def test_a_copy_that_shares_what_it_keeps_is_none() -> None:
    with pytest.raises(NotCopied):
        Unasked(shipped(Holding())).forgetting()


@pytest.mark.parametrize("change", [list[int].pop, list[int].clear, lambda kept: kept.append(0)])
@pytest.mark.parametrize("lift", [1.0, 3.0])
def test_less_is_a_change_too(change: Callable[[list[int]], object], lift: float) -> None:
    network = Bright(lift=2.0)
    network.asked.append(9)
    unasked = Unasked(shipped(network))
    assert not unasked.changed()
    network.lift = lift
    assert unasked.changed()
    network.lift = 2.0
    assert not unasked.changed()
    change(network.asked)
    assert unasked.changed()
