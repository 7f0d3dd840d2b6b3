"""A search against all that came before it, image by image, on a model that reads one pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from robench.audit.contest import contest, failed, next_to_nothing, remember
from robench.audit.trial import SystemTrial
from robench.base.stats import paired
from robench.core.record import Finding, Verdict
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat

FALLEN, UNCLEAN = 20, 10
NAME = "margin"


class Pixel(nn.Module):
    """Class 1 where the only pixel is bright."""

    def forward(self, x: Tensor) -> Tensor:
        bright = x.flatten(1)[:, :1] - 0.5
        return torch.cat([-bright, bright], 1)


def trial(left: int = 100, *, thrifty: bool = True) -> SystemTrial:
    """So many images hold, FALLEN fell before, UNCLEAN were never right."""
    labels = torch.zeros(left + FALLEN + UNCLEAN, dtype=torch.int64)
    labels[left + FALLEN :] = 1
    system = System(FloatDeployed(Pixel()), Pixel())
    images = torch.zeros(len(labels), 1, 1, 1)
    made = SystemTrial(system, images, labels, Threat("linf", 1.0), 0, thrifty=thrifty)
    made.held[left:] = False
    return made


@dataclass
class Breaking:
    """Breaks so many of the images of each call, the first ones; keeps what it was asked."""

    made: SystemTrial
    each: tuple[int, ...]
    asked: list[Tensor] = field(default_factory=list)

    def __call__(self, index: Tensor) -> Tensor:
        candidates = self.made.images[index].clone()
        candidates[: self.each[len(self.asked)]] = 1.0
        self.asked.append(index)
        return candidates


def tried(made: SystemTrial, *each: int) -> tuple[Finding, list[Tensor]]:
    search = Breaking(made, each)
    return contest(made, "margin_loss", NAME, search), search.asked


def sizes(asked: list[Tensor]) -> list[int]:
    return [len(index) for index in asked]


def test_one_image_of_the_probe_is_not_worth_the_others() -> None:
    made = trial()
    finding, asked = tried(made, 1)
    assert sizes(asked) == [30]
    assert (finding.check, finding.n, finding.verdict) == ("margin_loss", 130, "pass")
    assert (finding.value, finding.threshold) == (1 / 130, 1.0)
    assert NAME not in made.alone


def test_two_images_of_the_probe_are_and_the_others_come_too() -> None:
    finding, asked = tried(made := trial(), 2, 3)
    assert sizes(asked) == [30, 70]
    assert sorted(torch.cat(asked).tolist()) == list(range(100))
    assert (finding.value, finding.threshold, finding.verdict) == (5 / 130, 1.0, "pass")
    assert len(made.left) == 95


def test_a_full_audit_asks_of_all_at_once() -> None:
    _, asked = tried(trial(thrifty=False), 1)
    assert sizes(asked) == [100]


@pytest.mark.parametrize(
    ("check", "verdict", "at_once"),
    [
        ("zero_gradients", "suspect", True),
        ("zero_gradients", "fail", True),
        ("zero_gradients", "pass", False),
        ("loss_not_rising", "fail", False),
    ],
)
def test_all_are_asked_at_once_where_something_speaks_against_the_system(
    check: str, verdict: Verdict, at_once: bool
) -> None:
    made = trial()
    made.findings = [
        Finding(check=check, value=1.0, n=1, threshold=0.5, verdict=verdict, sentence="")
    ]
    _, asked = tried(made, 1)
    assert sizes(asked) == [100 + FALLEN if at_once else 30]


@pytest.mark.parametrize(("left", "at_once"), [(80, True), (79, False)])
def test_few_that_fell_before_are_asked_with_those_that_hold(left: int, at_once: bool) -> None:
    made = trial(left)
    made.findings = [
        Finding(check="noise", value=1.0, n=1, threshold=0.5, verdict="fail", sentence="")
    ]
    finding, asked = tried(made, left, 0)
    assert sizes(asked) == ([left + FALLEN] if at_once else [left, FALLEN])
    assert finding.value == (left - FALLEN) / len(made)


@pytest.mark.parametrize(("first", "calls"), [(11, [30, 70, FALLEN]), (12, [30, 70 + FALLEN])])
def test_what_fell_before_comes_with_the_others_where_the_probe_settled_it(
    first: int, calls: list[int]
) -> None:
    """12 of 130 images are surely more than a twentieth, 11 are not."""
    made = trial()
    finding, asked = tried(made, first, 5, 0)
    assert sizes(asked) == calls
    fallen = set(torch.cat(asked[1:]).tolist()) - set(range(100))
    assert fallen == set(range(100, 100 + FALLEN))
    assert (finding.threshold, NAME in made.alone) == (0.02, True)


@pytest.mark.parametrize("whole", [11, 12])
def test_a_gain_that_is_not_material_is_not_looked_into(whole: int) -> None:
    finding, asked = tried(made := trial(), 5, whole - 5, 0)
    assert len(asked) == (3 if whole == 12 else 2)
    assert (finding.threshold == 0.02) is (NAME in made.alone) is (whole == 12)


@pytest.mark.parametrize(
    ("mine", "others", "verdict"),
    [(37, 0, "pass"), (38, 0, "suspect"), (41, 0, "suspect"), (42, 0, "fail"), (42, 5, "fail")],
)
def test_both_sides_stand_alone_on_all_images(mine: int, others: int, verdict: Verdict) -> None:
    """It breaks what held, and less of what fell before: the difference is that of two attacks."""
    made = trial(thrifty=False)
    before = made.held.clone()
    finding, asked = tried(made, mine, others)
    assert sizes(asked) == [100, FALLEN]
    alone = made.clean.clone()
    alone[torch.cat([asked[0][:mine], asked[1][:others]])] = False
    assert made.alone[NAME].equal(alone)
    pair = paired(before.numpy(), alone.numpy())
    assert (finding.value, finding.low, finding.high) == (pair.difference, pair.low, pair.high)
    assert finding.verdict == verdict, finding


def test_nothing_left_is_nothing_asked() -> None:
    made = trial(0)
    finding, asked = tried(made)
    assert (asked, finding.value, finding.verdict) == ([], 0.0, "pass")


def test_the_probe_is_drawn_by_the_searchs_name_and_the_audits_seed() -> None:
    def probe(name: str, seed: int) -> list[int]:
        made = trial()
        made.seed = seed
        search = Breaking(made, (0,))
        contest(made, "margin_loss", name, search)
        return search.asked[0].tolist()

    assert probe("a", 0) == probe("a", 0)
    assert probe("a", 0) != probe("b", 0)
    assert probe("a", 0) != probe("a", 1)


@pytest.mark.parametrize(("left", "nothing"), [(0, True), (4, True), (5, False)])
def test_a_tenth_of_the_images_is_next_to_nothing(left: int, nothing: bool) -> None:
    made = trial(10)
    made.held[left:] = False
    assert len(made) == 40
    assert next_to_nothing(made) is nothing


@pytest.mark.parametrize(("verdict", "said"), [("pass", False), ("suspect", False), ("fail", True)])
def test_a_system_has_failed_by_its_gravest_finding(verdict: Verdict, said: bool) -> None:
    made = trial()
    for one in ("pass", verdict, "pass"):
        made.findings.append(Finding(check="noise", value=0.0, verdict=one, sentence=""))
    assert failed(made) is said


@pytest.mark.parametrize(("broken", "kept"), [(0, False), (1, False), (2, True), (3, True)])
def test_a_form_that_broke_two_images_is_kept(broken: int, kept: bool) -> None:
    made, module = trial(), Pixel()
    before = made.held.clone()
    index = torch.cat([torch.arange(broken), torch.arange(100, 105)])
    made.attempt("smoother", torch.ones(len(index), 1, 1, 1), index)
    remember(made, "smoother", "the smoother twin", module, before)
    assert made.forms == ({"the smoother twin": module} if kept else {})
