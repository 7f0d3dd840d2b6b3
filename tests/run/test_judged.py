"""Attacks that ask the deployed model, and what every row says its search asked for."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import robench
from robench.core.outcomes import Outcomes, RowOutcomes
from robench.core.record import AttackRow
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.plugin.scenario import Scenario
from robench.plugin.spent import Spent
from robench.records.weaker import weaker
from robench.run import attacks
from robench.run.config import Places
from robench.testing.tiny import tiny_data, tiny_network
from robench_attacks.carlini import CW
from robench_attacks.gradient import FGSM, PGD
from robench_attacks.noise import NormalNoise
from robench_attacks.square import Square

EPS = 0.2


class Elsewhere(nn.Module):
    """A twin that is fooled by any change at all, where the deployed model is not."""

    def __init__(self, network: nn.Module, clean: Tensor) -> None:
        super().__init__()
        self.network, self.clean = network, nn.Buffer(clean)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        known = (images[:, None] - self.clean).flatten(2).abs().amax(2).amin(1) < 1e-6
        return torch.where(known[:, None], logits, -logits)


@dataclass(frozen=True, kw_only=True)
class Patient(robench.Attack):
    """Grows its steps until the judge says wrong; `patient=False` believes the twin."""

    patient: bool = True

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """Of no use without a judge."""
        raise AssertionError("expected to be asked with a judge")

    def run_judged(self, target: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """Signed steps of growing size along the network's own gradient."""
        leaf = images.clone().requires_grad_()
        loss = nn.functional.cross_entropy(target.twin.network(leaf), labels, reduction="sum")
        ascent = torch.autograd.grad(loss, leaf)[0].sign()
        found = images.clone()
        left = torch.arange(len(images))
        for step in range(1, 6):
            tried = threat.project(images + step / 5 * threat.eps * ascent, images)
            found[left] = tried[left]
            believed = target.twin(tried).argmax(1) != labels
            fell = target.wrong(tried, labels) if self.patient else believed
            left = left[~fell[left]]
        return found


def search(component: robench.Attack, system: System, **threat: Any) -> attacks.Found:
    scenario = Scenario("one", component.search, "white_box", Threat("linf", EPS, **threat))
    return attacks.search(component, scenario, system, tiny_data().test, 0)


def test_an_attack_goes_on_where_only_the_twin_is_fooled() -> None:
    network, test = tiny_network(), tiny_data().test
    system = System(FloatDeployed(network), Elsewhere(network, test.float_images()))
    broken = {}
    for patient in (False, True):
        found = search(Patient(patient=patient), system).images
        broken[patient] = int((system.deployed.predict(found) != test.labels).sum())
    assert broken[True] > broken[False] + 10


@dataclass(frozen=True, kw_only=True)
class Spoils(robench.Attack):
    """Ruins all that the judge gave it or took from it, and the twin."""

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """Never asked."""
        raise AssertionError

    def run_judged(self, target: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """Labels in place, infinite candidates, other dtypes, no images at all."""
        told = target.wrong(images, labels)
        told.fill_(True)
        target.scores(images).zero_()
        images.zero_()
        labels.zero_()
        for given in (images * float("nan"), images.long(), "images"):
            with pytest.raises(Exception, match=r"expected|attribute|len"):
                target.wrong(given, labels)
        assert len(target.wrong(images[:0].double(), labels[:0])) == 0
        with torch.no_grad():
            for weight in target.twin.parameters():
                weight.zero_()
        object.__setattr__(target, "wrong", None)
        return images


def test_a_search_cannot_harm_the_judge() -> None:
    network, test = tiny_network(), tiny_data().test
    system = System(FloatDeployed(network), deepcopy(network))
    before = system.deployed.predict(test.float_images())
    for _ in range(2):
        search(Spoils(), system)
    assert torch.equal(system.deployed.predict(test.float_images()), before)


class Draws(FloatDeployed):
    """Right three times of four, whatever it is asked."""

    randomised = True

    def predict(self, images: Tensor) -> Tensor:
        own = super().predict(images)
        return torch.where(torch.rand(len(images)) < 0.75, own, (own + 1) % 3)


def test_one_wrong_draw_of_many_is_no_success() -> None:
    network, test = tiny_network(), tiny_data().test
    system = System(Draws(network), network)
    images = test.float_images()
    told = []

    @dataclass(frozen=True, kw_only=True)
    class Asks(robench.Attack):
        """Asks of the clean images."""

        def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
            """Never asked."""
            raise AssertionError

        def run_judged(self, target: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
            """Which are wrong at once, and which surely."""
            assert target.randomised
            told.append(target.wrong(images, labels).float().mean())
            return images

    found = search(Asks(), system)
    assert torch.equal(found.images, images)
    assert told[0] < 0.15
    assert found.queries > 2


@pytest.mark.parametrize(
    ("component", "gradients", "queries"),
    [
        (FGSM(), (1, 1), (1, 2)),
        (PGD(steps=7), (7, 7), (8, 9)),
        (PGD(steps=7, restarts=3), (7, 21), (8, 26)),
        (Square(queries=40), (0, 0), (2, 41)),
        (NormalNoise(), (0, 0), (0, 0)),
        (CW(steps=3, search_steps=2), (2, 7), (3, 14)),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, robench.Attack) else "",
)
def test_a_search_is_counted(
    component: robench.Attack, gradients: tuple[int, int], queries: tuple[int, int]
) -> None:
    network = tiny_network()
    found = search(component, System(FloatDeployed(network), network))
    assert gradients[0] <= found.gradients <= gradients[1]
    assert queries[0] <= found.queries <= queries[1]


def test_counting_moves_no_example_and_counts_copies() -> None:
    network, images = tiny_network(), tiny_data().test.float_images()
    spent = Spent()
    twin = spent.watch(deepcopy(network))
    other = deepcopy(twin)
    for one in (twin, other, twin.forward, other.forward):
        leaf = images.clone().requires_grad_()
        logits = one(leaf)
        assert torch.equal(logits, network(images))
        for column in range(2):
            torch.autograd.grad(logits[:, column].sum(), leaf, retain_graph=True)
    assert (spent.queries, spent.gradients) == (4 * len(images), 8 * len(images))
    other.get_parameter("3.weight").data.zero_()
    assert not torch.equal(other(images), network(images))
    assert "forward" not in vars(network)


@dataclass(frozen=True, kw_only=True)
class Secretly(robench.Attack):
    """Says that it reads answers alone, and differentiates."""

    queries_only: ClassVar[bool] = True

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """One step of FGSM."""
        return FGSM().run(twin, images, labels, threat, rng)


def test_an_attack_by_queries_alone_that_differentiates_is_invalid() -> None:
    network = tiny_network()
    with pytest.raises(attacks.AttackFailed, match="no gradients"):
        search(Secretly(), System(FloatDeployed(network), network))


@dataclass(frozen=True, kw_only=True)
class Lame(robench.Attack):
    """Two gradients, and no use made of them."""

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """The clean images."""
        for _ in range(2):
            leaf = images.clone().requires_grad_()
            torch.autograd.grad(twin(leaf).sum(), leaf)
        return images


def test_a_row_that_another_beats_says_by_how_much() -> None:
    given = {"lame": Lame(), "fgsm": FGSM(), "pgd": PGD(steps=3)}
    record = robench.evaluate(tiny_network(), tiny_data(), attack=given, audit="off")
    rows = {row.attack: row for row in record.rows}
    assert (rows["lame"].gradients, rows["fgsm"].gradients, rows["pgd"].gradients) == (2, 1, 3)
    assert rows["fgsm"].weaker is None
    found = rows["lame"].weaker
    assert found is not None
    right = {row.attack: record.find("robust_accuracy", attack=row.attack) for row in record.rows}
    best = min(right, key=lambda name: (right[name].value, name))  # type: ignore[union-attr]
    assert found.than == best
    assert found.points == pytest.approx(right["lame"].value - right[best].value)  # type: ignore[operator, union-attr]


@dataclass(frozen=True, kw_only=True)
class Around(robench.Attack):
    """FGSM at a quarter of its strength, on the network inside the twin or on `forward`."""

    inside: bool = True
    moves: bool = True

    def run(self, twin: Any, images: Any, labels: Any, threat: Any, rng: Any) -> Any:
        """A short step along gradients that nobody counts."""
        twin._forward_hooks.clear()
        given = nn.Sequential(*twin.children()) if self.inside else twin.forward
        leaf = images.clone().requires_grad_()
        loss = nn.functional.cross_entropy(given(leaf), labels)
        step = torch.autograd.grad(loss, leaf)[0].sign() * threat.eps / 4
        return images + step if self.moves else images


def test_forward_is_counted_and_what_goes_around_it_is_not_counted() -> None:
    network = tiny_network()
    system = System(FloatDeployed(network), network)
    counts = [
        (found.gradients, found.queries)
        for one in (Around(inside=False), Around(), Around(moves=False))
        for found in (search(one, system),)
    ]
    assert counts == [(1, 1), (None, None), (0, 0)]


def test_a_row_that_is_not_counted_is_compared_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from robench.cli.record_table import print_record

    given = {"around": Around(), "square": Square(queries=3), "pgd": PGD(steps=3)}
    places = Places(results=tmp_path / "results", cache=tmp_path / "cache", threads=1)
    record = robench.evaluate(tiny_network(), tiny_data(), attack=given, audit="off", places=places)
    rows = {row.attack: row for row in record.rows}
    assert rows["around"].gradients is rows["around"].queries is None
    assert rows["around"].weaker is not None
    assert rows["around"].weaker.than == "pgd"
    assert rows["square"].weaker is None
    print_record(record, places.results / record.id)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    (around,) = [line for line in shown if line[:1] == ["around"]]
    (square,) = [line for line in shown if line[:1] == ["square"]]
    assert around[-3:-1] == ["-", "-"], "no gradients and no queries"
    assert square[-3] == "0"


@pytest.mark.parametrize(
    ("gradients", "queries", "compared"),
    [(1, 1, False), (1, 2, False), (0, 0, True), (1, 300, True), (None, None, True)],
)
def test_one_step_attacks_alone_are_not_compared(
    gradients: float | None, queries: float | None, compared: bool
) -> None:
    count = 50
    right, wrong = np.zeros(count, np.int16), np.ones(count, np.int16)
    far = np.zeros(count, np.float32)

    def judged(attack: str, prediction: Any) -> RowOutcomes:
        search = "none" if attack == "clean" else "ball"
        numbers = np.arange(count, dtype=np.int32)
        labels = right, right, prediction
        return RowOutcomes(
            attack, "white_box", search, "linf", 0.2, numbers, *labels, far, far, valid=True
        )

    outcomes = Outcomes((judged("clean", right), judged("mine", right), judged("best", wrong)))
    rows = [
        AttackRow(attack=name, access="white_box", norm="linf", eps=0.2, gradients=g, queries=q)
        for name, g, q in (("mine", gradients, queries), ("best", 9, 9))
    ]
    assert (next(weaker(rows, outcomes, ())) is not None) == compared
    assert next(weaker(rows, outcomes, ("mine",))) is None
    older = [row.model_copy(update={"gradients": None, "queries": None}) for row in rows]
    assert list(weaker(older, outcomes, ())) == [None, None]
