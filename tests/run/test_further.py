"""Further twins are searched where they lead elsewhere, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.core.threat import Threat
from robench.plugin.registry import registry
from robench.plugin.scenario import Scenario
from robench.run.attacks import Found, search
from robench.run.further import apart
from robench.search import AutoAttackSearch, StrongestSearch, Target
from robench.testing.tiny import tiny_data, tiny_network
from tests.run.files import Clipped, ToyFile


def clipped(ceiling: float, steps: float) -> nn.Module:
    return Clipped(tiny_network(), ceiling, steps).eval()


def test_a_twin_is_apart_where_the_faithful_one_saturates_and_not_where_it_rounds() -> None:
    images = tiny_data().test.float_images()
    found = images.roll(1, 0)
    largest = tiny_network()(images).detach().abs().amax(1)
    ceiling = float(largest.quantile(0.7))
    either = (largest > ceiling) | (largest.roll(1, 0) > ceiling)
    others = {"open": tiny_network(), "same": clipped(ceiling, 900.0)}
    told = apart(clipped(ceiling, 1000.0), others, tiny_data().test, found, seed=1, batch=7)
    assert 0 < either.sum() < len(images)
    assert torch.equal(told["open"], either)
    assert not told["same"].any()


class Noisy(nn.Module):
    """A network behind a defense that draws."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images + 0.1 * torch.randn_like(images))
        return logits


def test_twins_that_draw_are_compared_on_the_same_draws() -> None:
    test, others = tiny_data().test, {"same": Noisy(clipped(2.0, 9.0))}
    told = apart(Noisy(clipped(2.0, 9.0)), others, test, test.images, seed=1, batch=100)
    assert not told["same"].any()


def searched(other: nn.Module) -> Found:
    """What PGD finds on a toy file and one further twin."""
    data = tiny_data()
    system = replace(ToyFile(ceiling=2.0, steps=4.0).system(data), others={"further": other})
    attack = registry().get("attack", "pgd").make(steps=20)
    scenario = Scenario("pgd", "ball", "white_box", Threat("linf", 0.12))
    return search(attack, scenario, system, data.test, seed=0)


def test_a_twin_that_leads_nowhere_else_costs_a_look() -> None:
    same = searched(clipped(2.0, 4.0))
    assert same.by is not None
    assert not same.by.any()
    assert same.gradients is not None
    assert 20 < same.gradients <= 20 + 2 * 2
    elsewhere = searched(tiny_network())
    assert elsewhere.by is not None
    assert elsewhere.by.any()
    assert (elsewhere.gradients or 0) > same.gradients


@pytest.mark.parametrize(
    "cascade", [StrongestSearch(), AutoAttackSearch(variant="standard")], ids=lambda one: type(one)
)
def test_scores_that_a_search_had_are_not_asked_for_again(
    cascade: StrongestSearch | AutoAttackSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("robench.search.autoattack.QUERIES", 20)
    data, twin = tiny_data(), tiny_network()
    images, labels, asked = data.test.float_images()[:1], data.test.labels[:1], []
    own = Target.of(twin)

    def scores(candidates: Tensor) -> Tensor:
        asked.append(len(candidates))
        return own.scores(candidates)

    for queried in (False, True):
        asked.clear()
        target = replace(own, scores=scores, queried=queried)
        rng = torch.Generator().manual_seed(0)
        cascade.run(target, images, labels, Threat("linf", 2 / 255), rng)
        assert bool(asked) is not queried
