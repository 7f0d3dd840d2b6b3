from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given as cases
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.plugin.spent import Spent
from robench.search import Budget, StrongestSearch, Target, strongest
from robench.search.losses import probability_margin
from robench.search.strongest import BOUNDARIES, RATIOS, STAGES, Stage
from tests.search.linear import Linear, linear


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def search(
    given: Linear, threat: Threat, net: nn.Module | None = None, budget: Budget = "whole"
) -> Tensor:
    target = Target.of(net or given.net)
    return StrongestSearch(budget=budget).run(target, given.images, given.labels, threat, rng())


@pytest.mark.parametrize(("norm", "classes"), [("linf", 2), ("l2", 3), ("linf", 12)])
def test_reaches_the_robust_accuracy_of_a_linear_network(norm: str, classes: int) -> None:
    given = linear(40, classes)
    eps = given.eps(norm)
    found = search(given, Threat(norm, eps, grid=norm == "linf"))
    broken = given.broken(norm, eps)
    assert 5 < broken.sum() < 35
    assert (given.net(found).argmax(1) != given.labels).equal(broken)


@settings(deadline=None, max_examples=10)
@cases(
    norm=st.sampled_from(["linf", "l2"]),
    eps=st.floats(0.004, 0.5),
    grid=st.booleans(),
    count=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_candidates_are_legal(norm: str, eps: float, grid: bool, count: int, seed: int) -> None:
    given, threat = linear(count, classes=3, seed=seed), Threat(norm, eps, grid)
    found = search(given, threat, budget="quick")
    assert threat.contains(found, given.images).all()


def test_the_seed_decides() -> None:
    given = linear(20)
    threat = Threat("l2", given.eps("l2"))
    first = search(given, threat, budget="quick")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert search(given, threat, budget="quick").equal(first)
    assert torch.get_rng_state().equal(state)


class Coarse(nn.Module):
    """A network behind an input rounded to 16 levels: its gradient is 0."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net((images * 15).round() / 15)
        return logits


class Flipped(nn.Module):
    """A network whose gradient points the other way."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return 2 * logits.detach() - logits


@pytest.mark.parametrize("mask", [Coarse, Flipped])
def test_queries_break_what_gradients_do_not(mask: type[nn.Module]) -> None:
    given = linear(30)
    net = mask(given.net)
    with torch.no_grad():
        labels = net(given.images).argmax(1)
    masked = Linear(given.net, given.images, labels)
    found = search(masked, Threat("linf", 24 / 255), net)
    assert (net(found).argmax(1) == labels).sum() == 0


@pytest.fixture
def short_climbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Climbs of one step from the clean image, which break next to nothing."""
    short = Stage(loss=probability_margin, steps=1, start=STAGES["whole"][0].start)
    monkeypatch.setitem(STAGES, "whole", (short,))


@pytest.fixture(params=[RATIOS, BOUNDARIES], ids=["ratios", "boundaries"])
def one_of_l2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the searches that L2 alone has, without the other."""
    monkeypatch.setattr(strongest, "L2", (request.param,))


def unasked(net: nn.Module) -> Target:
    """A target whose scores are not asked for by searches without gradients."""
    return replace(Target.of(net), queried=True)


@pytest.mark.usefixtures("short_climbs", "one_of_l2")
def test_each_search_of_l2_breaks_what_climbs_leave() -> None:
    given = linear(100)
    threat = Threat("l2", given.eps("l2"), grid=False)
    found = StrongestSearch().run(unasked(given.net), given.images, given.labels, threat, rng())
    assert (given.net(found).argmax(1) != given.labels).equal(given.broken("l2", threat.eps or 0))
    assert threat.contains(found, given.images).all()


@pytest.mark.usefixtures("short_climbs", "one_of_l2")
def test_the_searches_of_l2_keep_to_each_images_own_ball() -> None:
    given = linear(40)
    eps = given.eps("l2")
    radii = torch.where(torch.arange(40) % 2 == 0, eps, eps / 2)
    threat = Threat("l2", eps, grid=False)
    target = unasked(given.net)
    found = StrongestSearch().run(target, given.images, given.labels, threat, rng(), radii)
    broken = given.broken("l2", eps).where(radii == eps, given.broken("l2", eps / 2))
    assert (given.net(found).argmax(1) != given.labels).equal(broken)


@pytest.mark.usefixtures("short_climbs")
@pytest.mark.parametrize(("norm", "randomised"), [("linf", False), ("l2", True)])
def test_the_searches_of_l2_are_left_out_elsewhere(norm: str, randomised: bool) -> None:
    given = linear(40)
    spent = Spent()
    target = replace(unasked(spent.watch(given.net)), randomised=randomised)
    threat = Threat(norm, given.eps(norm))
    StrongestSearch(samples=1).run(target, given.images, given.labels, threat, rng())
    assert spent.gradients <= 40


@pytest.mark.usefixtures("short_climbs")
def test_what_wins_nothing_in_l2_is_tried_in_small() -> None:
    given = linear(100)
    spent = Spent()
    threat = Threat("l2", 1e-4, grid=False)
    target = unasked(spent.watch(given.net))
    StrongestSearch().run(target, given.images, given.labels, threat, rng())
    assert spent.gradients <= 100 + 64 * 300 + 100 * 300


def test_large_logits_hide_nothing() -> None:
    given = linear(40)
    threat = Threat("linf", given.eps("linf"))
    loud = nn.Sequential(*given.net, Scale(1e4))
    found = search(given, threat, loud)
    assert (loud(found).argmax(1) != given.labels).equal(given.broken("linf", threat.eps or 0))


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.factor


def test_a_random_network_needs_more_than_a_lucky_draw() -> None:
    given = linear(12)

    class Noisy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = given.net(images)
            return logits + 3 * torch.randn_like(logits)

    def never(candidates: Tensor, labels: Tensor) -> Tensor:
        return torch.zeros_like(labels, dtype=torch.bool)

    def scores(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = given.net(images)
        return logits

    target = Target(Noisy(), never, scores, randomised=True)
    threat = Threat("linf", 2 / 255)
    found = StrongestSearch(budget="quick").run(target, given.images, given.labels, threat, rng())
    assert threat.contains(found, given.images).all()


def test_the_twin_is_left_as_it_was() -> None:
    given = linear(5)
    net = nn.Sequential(*given.net, nn.Dropout()).train()
    search(given, Threat("linf", 60 / 255), net)
    assert all(module.training for module in net.modules())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_an_unknown_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected budget to be one of quick, whole"):
        StrongestSearch(budget="huge")  # type: ignore[arg-type]


def test_the_quick_budget_costs_what_it_says() -> None:
    gradients = sum(
        stage.steps * (stage.targets or 1) * stage.restarts for stage in STAGES["quick"]
    )
    assert gradients == 15


def test_the_nearest_images_get_what_the_docstring_says() -> None:
    spent: dict[float, int] = {}
    for stage in STAGES["whole"]:
        cost = (stage.targets or 1) * stage.steps * stage.restarts
        spent[stage.share] = spent.get(stage.share, 0) + cost
    assert spent == {1.0: 40, 0.4: 180, 0.15: 1000}
    assert round(sum(share * cost for share, cost in spent.items()), -1) == 260
