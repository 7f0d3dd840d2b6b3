"""APGD and AutoAttack: what linear networks allow, the deployed model's word, the variants."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search import ApgdSearch, AutoAttackSearch, FabSearch, Target, autoattack
from tests.search.test_fab import Linear, middle, nearest, rng

SEARCHES = {
    "apgd": ApgdSearch(steps=10, loss="cross_entropy"),
    "apgd_restarts": ApgdSearch(steps=10, loss="dlr", restarts=2),
    "apgd_t": ApgdSearch(steps=10, loss="dlr", targets=9),
    "apgd_samples": ApgdSearch(steps=10, loss="probability_margin", samples=2),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoAttack in a few steps."""
    short: dict[str, tuple[autoattack.Part, ...]] = {
        "standard": (
            SEARCHES["apgd"].run,
            SEARCHES["apgd_t"].run,
            FabSearch(steps=5, targets=9).run,
        )
    }
    monkeypatch.setattr(autoattack, "VARIANTS", short)


@pytest.mark.parametrize("grid", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_linear_network_is_broken_wherever_it_can_be(name: str, norm: str, grid: bool) -> None:
    images, labels = middle()
    limit = nearest(images, labels, norm)
    threat = Threat(norm, float(limit.median()) * 1.05, grid)
    assert threat.eps is not None
    found = SEARCHES[name].run(Target.of(Linear()), images, labels, threat, rng())
    assert threat.contains(found, images).all()
    wrong = Linear()(threat.project(found, images)).argmax(1) != labels
    assert wrong[limit < 0.85 * threat.eps].all()
    assert not wrong[limit > threat.eps].any()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_ensemble_keeps_what_each_part_broke(norm: str) -> None:
    images, labels = middle()
    threat = Threat(norm, float(nearest(images, labels, norm).median()))
    whole = AutoAttackSearch(variant="standard")
    found = whole.run(Target.of(Linear()), images, labels, threat, rng())
    assert threat.contains(found, images).all()
    held = Linear()(found).argmax(1) == labels
    for part in autoattack.VARIANTS["standard"]:
        alone = part(Target.of(Linear()), images, labels, threat, rng())
        assert (Linear()(alone).argmax(1) == labels)[held].all()


@pytest.mark.usefixtures("quick")
def test_where_only_the_twin_is_fooled_the_search_goes_on() -> None:
    images, labels = middle()
    asked: list[int] = []

    def wrong(candidates: Tensor, labels: Tensor) -> Tensor:
        asked.append(len(candidates))
        return torch.zeros_like(labels, dtype=torch.bool)

    twin = Linear()
    target = Target(twin, wrong, Target.of(twin).scores)
    AutoAttackSearch(variant="standard").run(target, images, labels, Threat("linf", 0.2), rng())
    assert asked[0] == asked[-1] == len(images)
    assert len(asked) > 10


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SEARCHES)
def test_few_classes_have_fewer_targets(name: str, classes: int) -> None:
    images, _ = middle()
    twin = Linear(classes)
    labels = twin(images).argmax(1)
    found = SEARCHES[name].run(Target.of(twin), images, labels, Threat("linf", 0.3), rng())
    assert (twin(found).argmax(1) != labels).all()


def test_the_variants_have_the_parameters_of_the_published_code() -> None:
    def said(variant: str) -> list[object]:
        return [getattr(part, "__self__", part) for part in autoattack.VARIANTS[variant]]

    ce = ApgdSearch(steps=100, loss="cross_entropy")
    apgd_t = ApgdSearch(steps=100, loss="dlr", targets=9)
    fab_t = FabSearch(steps=100, targets=9)
    square = autoattack.VARIANTS["standard"][-1]
    assert said("standard") == [ce, apgd_t, fab_t, square]
    assert said("plus") == [
        ApgdSearch(steps=100, loss="cross_entropy", restarts=5),
        ApgdSearch(steps=100, loss="dlr", restarts=5),
        FabSearch(steps=100, targets=0, restarts=5),
        square,
        apgd_t,
        fab_t,
    ]
    assert said("rand") == [
        ApgdSearch(steps=100, loss="cross_entropy", samples=20),
        ApgdSearch(steps=100, loss="dlr", samples=20),
    ]
    assert autoattack.QUERIES == 5000


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected variant to be one of standard, plus, rand"):
        AutoAttackSearch(variant="extra")


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"targets": -1}, {"restarts": 0}, {"samples": 0}, {"loss": "hinge"}]
)
def test_apgd_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        ApgdSearch(**({"steps": 1, "loss": "dlr"} | options))  # type: ignore[arg-type]
