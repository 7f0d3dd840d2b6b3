"""Labels that come from elsewhere than the scores, and what breaks them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.audit.checks import CHECKS
from robench.audit.checks.labels import Labels
from robench.audit.checks.scores import JumpingScores
from robench.audit.findings import findings_of
from robench.audit.trial import SystemTrial
from robench.core.record import worst
from robench.core.system import FloatDeployed, System
from robench.search import RaySearch
from tests.audit.zoo import Zoo
from tests.audit.zoo.exhibit import Randomised


class Swapped(nn.Module):
    """The labels of a network, in their order the scores of something else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("rest", -0.3 * torch.arange(9.0))

    def top(self, x: Tensor, label: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        order = self.model(x).detach().argsort(1, descending=True)
        scores = [self.top(x, order[:, 0])[:, None], self.rest.expand(len(x), 9)]  # type: ignore[operator]
        return torch.zeros(len(x), 10).scatter(1, order, torch.cat(scores, 1))


class Brightness(Swapped):
    """The brighter the less sure."""

    def top(self, x: Tensor, label: Tensor) -> Tensor:
        return 4 - 3.5 * x.mean((1, 2, 3))


class TowardSelf(Swapped):
    """The more an image looks like its own class the less sure."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        super().__init__(model)
        flat = images.flatten(1)
        means = [flat[labels == c].mean(0) - flat[labels != c].mean(0) for c in range(10)]
        likeness = torch.stack(means)
        likeness /= likeness.abs().sum(1, keepdim=True)
        self.register_buffer("likeness", likeness)
        self.register_buffer("most", 0.92 * likeness.clamp_min(0).sum(1))

    def top(self, x: Tensor, label: Tensor) -> Tensor:
        alike = (x.flatten(1) * self.likeness[label]).sum(1)  # type: ignore[index]
        return 0.1 + 12 * (self.most[label] - alike)  # type: ignore[index]


def swapped(zoo: Zoo, name: str) -> nn.Module:
    if name == "brightness":
        return Brightness(zoo.base()).eval()
    train = zoo.lesson.train
    return TowardSelf(zoo.base(), train.float_images(), train.labels).eval()


def trial(
    zoo: Zoo,
    network: nn.Module,
    thrifty: bool = True,
    *,
    images: int = 60,
    kind: type[FloatDeployed] = FloatDeployed,
) -> SystemTrial:
    lesson = zoo.lesson
    test = lesson.test.take(torch.arange(images))
    system = System(kind(network.eval()), network)
    return SystemTrial(system, test.float_images(), test.labels, lesson.threat, 0, thrifty=thrifty)


@pytest.mark.parametrize("name", ["brightness", "likeness"])
def test_a_label_without_its_scores_fails_a_quick_audit(zoo: Zoo, name: str) -> None:
    made = trial(zoo, swapped(zoo, name))
    findings = {one.check: one for one in findings_of(made, CHECKS["quick"])}
    assert float((~made.reference.wrong).float().mean()) > 0.9
    assert findings["jumping_scores"].verdict == "suspect"
    assert findings["labels"].verdict == "fail"


@pytest.mark.slow
def test_a_full_budget_comes_near_the_truth(zoo: Zoo) -> None:
    made = trial(zoo, swapped(zoo, "brightness"), False, images=20)
    known = trial(zoo, zoo.base(), images=20)
    (told,) = Labels(queries=125).look(made)
    known.strongest("strongest on the twin", known.system.twin)
    assert told.verdict == "fail"
    assert float(made.held.float().mean()) < float(known.held.float().mean()) + 0.15


@pytest.mark.parametrize(
    "name",
    [
        *("plain", "ptq4", "large_margin_linear"),
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("adversarial", "maxout")),
        pytest.param("adversarial_ptq4", marks=pytest.mark.slow),
    ],
)
def test_scores_meet_where_an_honest_label_changes(zoo: Zoo, name: str) -> None:
    made = trial(zoo, zoo.build(name).system.twin, False)
    (told,) = JumpingScores(images=(50,)).look(made)
    assert (told.verdict, told.value) == ("pass", pytest.approx(0.0, abs=0.1))


def test_labels_convict_nobody_whom_scores_lead_as_far(zoo: Zoo) -> None:
    made = trial(zoo, zoo.build("large_margin_linear").system.twin, False)
    made.strongest("strongest on the twin", made.system.twin)
    (told,) = Labels().look(made)
    assert worst([told.verdict]) == "pass"


def test_a_cheap_audit_asks_no_labels_where_scores_lead(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> Tensor:
        raise AssertionError

    monkeypatch.setattr(RaySearch, "run", run)
    assert worst(one.verdict for one in findings_of(trial(zoo, zoo.base()), CHECKS["quick"])) == (
        "pass"
    )


class Roulette(nn.Module):
    """The labels of a network, the scores of one of two drawn at random."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.decoys = 5 * torch.randn(2, 64, 10, generator=torch.Generator().manual_seed(0))

    def forward(self, x: Tensor) -> Tensor:
        label = self.model(x).argmax(1, keepdim=True)
        drawn = self.decoys[int(torch.randint(2, ()))]
        scores = x.flatten(1) @ drawn
        return scores.scatter(1, label, scores.amax(1, keepdim=True) + 1)


def test_random_scores_of_true_labels_are_asked_about_too(zoo: Zoo) -> None:
    made = trial(zoo, Roulette(zoo.base()), images=20, kind=Randomised)
    (jumps,) = JumpingScores().look(made)
    made.findings.append(jumps)
    (told,) = Labels().look(made)
    assert (jumps.verdict, told.verdict) == ("suspect", "fail")


class Wavering(nn.Module):
    """Honest scores with noise on each."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(x)
        return logits + 2 * torch.randn_like(logits)


def test_noise_on_scores_is_no_jump(zoo: Zoo) -> None:
    made = trial(zoo, Wavering(zoo.base()), False, kind=Randomised)
    (told,) = JumpingScores(images=(50,)).look(made)
    assert told.verdict == "pass"
