"""A system is convicted where gradients mislead, and no network makes the audit stumble."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.audit.affine import affine_map, worst_case
from robench.audit.checks import CHECKS
from robench.audit.checks.adaptive import Adaptive
from robench.audit.checks.exact import Exact
from robench.audit.checks.secants import GradientSecants
from robench.audit.checks.stalled import Stalled
from robench.audit.checks.together import Together
from robench.audit.findings import findings_of
from robench.audit.trial import SystemTrial
from robench.audit.verdict import (
    BENT,
    FRACTURED,
)
from robench.core.record import Finding, Verdict, worst
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.search import GradientSearch, Target
from tests.audit.zoo import Zoo
from tests.audit.zoo.audited import examined
from tests.audit.zoo.bent import Bending, flipped
from tests.audit.zoo.smooth import FixedNoise


def finding(check: str, verdict: Verdict = "pass", value: float | None = 0.0) -> Finding:
    return Finding(check=check, value=value, n=20, threshold=0.1, verdict=verdict, sentence="it")


PREDICTS = finding(FRACTURED)


# -- networks that the audit stumbled over ---------------------------------------------------------


class Viewing(nn.Module):
    """Refuses an empty batch, as `view` with -1 does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        assert len(x), "an empty batch"
        logits: Tensor = self.model(x)
        return logits.view(x.size(0), -1)


def trial(zoo: Zoo, model: nn.Module, eps: float, level: str, count: int = 30) -> SystemTrial:
    images, labels = zoo.lesson.test.float_images()[:count], zoo.lesson.test.labels[:count]
    return SystemTrial(
        System(FloatDeployed(model), model.eval()),
        images,
        labels,
        Threat("linf", eps),
        0,
        steps=7,
        thrifty=level == "quick",
    )


@pytest.mark.slow
@pytest.mark.parametrize("level", ["quick", "full"])
def test_no_empty_batch_is_sent_where_every_image_falls(zoo: Zoo, level: str) -> None:
    made = trial(zoo, Viewing(zoo.base()), 0.8, level)
    findings_of(made, CHECKS[level])
    assert not made.held.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maxout", "bfloat16", "float64", "noise"])
def test_full_audits_of_unusual_networks(zoo: Zoo, name: str) -> None:
    """Heads that are not called, batches that widen inside, other precisions: none raises."""
    noisy = FixedNoise(zoo.base(), zoo.lesson.test.images[0].shape, 0.1, draws=4)
    model = noisy if name == "noise" else zoo.build(name).system.twin
    made = trial(zoo, model, 0.3, "full", 12)
    checks = [check for check in CHECKS["full"] if type(check).__name__ != "BlackBox"]
    assert worst(one.verdict for one in findings_of(made, checks)) == "pass"


# -- single checks ---------------------------------------------------------------------------------


def test_a_bent_gradient_is_suspect_and_what_it_hid_is_found(zoo: Zoo) -> None:
    """It is neither zero nor random, the loss rises, and PGD leaves most of the images."""
    model = nn.Sequential(Bending(flipped), *zoo.base())
    made = trial(zoo, model, 0.15, "quick", 60)
    findings = {one.check: one for one in findings_of(made, CHECKS["quick"])}
    assert findings["zero_gradients"].verdict == findings["loss_not_rising"].verdict == "pass"
    assert findings[BENT].verdict == "suspect"
    assert findings["smoother_gradient"].verdict == "fail"
    assert made.held.float().mean() < 0.2


def test_rounding_to_4_bits_calls_for_more_search_and_convicts_nobody(zoo: Zoo) -> None:
    twin = zoo.build("ptq4").system.twin
    bent, fractured = GradientSecants().look(trial(zoo, twin, 0.15, "full"))
    assert (bent.verdict, fractured.verdict) == ("pass", "pass")
    assert fractured.value is not None
    assert fractured.value > 0.5


class Stairs(nn.Module):
    """No small step changes anything, and no gradient says otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.flatten(1).mean(1) > 0.5).float()
        return torch.stack([bright, 1 - bright], 1) + 0 * x.flatten(1)[:, :1]


def test_where_no_difference_is_left_nothing_is_said_of_bent_gradients() -> None:
    images, labels = torch.full((20, 1, 4, 4), 0.8), torch.zeros(20, dtype=torch.int64)
    made = SystemTrial(
        System(FloatDeployed(Stairs()), Stairs()), images, labels, Threat("linf", 0.1), 0
    )
    bent, fractured = GradientSecants().look(made)
    assert (bent.value, bent.n, bent.verdict) == (None, 0, "pass")
    assert bent.sentence.endswith("was not tested")
    assert fractured.value == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "large_margin_linear", "lipschitz_maxmin"])
def test_networks_that_only_a_loss_beats_pass(zoo: Zoo, name: str) -> None:
    exhibit = zoo.build(name)
    for threat in (Threat("linf", 0.15), Threat("l2", 0.8)):
        assert examined(exhibit, replace(zoo.lesson, threat=threat)).verdict == "pass"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_affine_network_is_settled(zoo: Zoo, norm: str) -> None:
    """No attack breaks what is proven, and the closed form breaks all that any attack does."""
    model = zoo.build("linear").system.twin
    made = trial(zoo, model, 0.15, "quick", 60)
    made.threat = Threat(norm, 0.15 if norm == "linf" else 0.8)
    (exact,) = Exact().look(made)
    held = made.held.clone()
    made.attempt("usual", made.search("x", model, made.ascent(), made.left), made.left)
    assert torch.equal(made.held, held)
    assert exact.value is not None
    assert abs(exact.value - float(held.float().mean())) < 0.05
    assert made.threat.contains(made.found, made.images).all()


def test_a_network_that_is_not_affine_is_left_alone(zoo: Zoo) -> None:
    assert not list(Exact().look(trial(zoo, zoo.base(), 0.15, "quick")))


def test_the_worst_candidate_of_two_classes_is_the_signs() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    network[1].weight.data = torch.tensor([[1.0, -1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    images = torch.full((1, 1, 2, 2), 100 / 255)
    affine = affine_map(lambda x: network(x).detach(), images, torch.Generator().manual_seed(0))
    assert affine is not None
    found, safe = worst_case(affine, images, torch.tensor([0]), Threat("linf", 10 / 255))
    assert ((found - images) * 255).round().flatten().tolist() == [-10, 10, -10, 0]
    assert safe.tolist() == [True]


class Slope(nn.Module):
    """Two classes; the margin rises with the mean pixel, and never to an error."""

    def __init__(self, ends: bool) -> None:
        super().__init__()
        self.ends = ends

    def forward(self, x: Tensor) -> Tensor:
        up = x.flatten(1).mean(1) - 0.5
        margin = -0.1 - torch.exp(-20 * up) if self.ends else 3 * up - 1.1
        return torch.stack([-margin, margin], 1) / 2


@pytest.mark.parametrize(("ends", "verdict"), [(True, "suspect"), (False, "pass")])
def test_a_slope_that_ends_before_an_error_is_suspect(ends: bool, verdict: str) -> None:
    images, labels = torch.full((20, 1, 4, 4), 0.5), torch.zeros(20, dtype=torch.int64)
    system = System(FloatDeployed(Slope(ends)), Slope(ends))
    made = SystemTrial(system, images, labels, Threat("linf", 0.15, grid=False), 0)
    made.findings = [PREDICTS]
    (told,) = Stalled().look(made)
    assert (told.value, told.verdict) == (float(ends), verdict)
    made.findings = [finding(FRACTURED, value=1.0)]
    assert not list(Stalled().look(made))


@pytest.mark.parametrize("brings", [False, True])
def test_the_attack_that_a_defense_brings_is_run(zoo: Zoo, brings: bool) -> None:
    class Knowing:
        """Knows that the gradient was cut, and where it is."""

        def run(
            self, twin: nn.Module, images: Tensor, labels: Tensor, threat: Threat, rng: object
        ) -> Tensor:
            search = GradientSearch(steps=10, step=2.5)
            return search.run(zoo.base(), images, labels, threat, torch.Generator())

        def run_judged(
            self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: object
        ) -> Tensor:
            return self.run(target.twin, images, labels, threat, rng)

    made = trial(zoo, zoo.build("gradient_stop").system.twin, 0.15, "full")
    made.adaptive = {"stop": Knowing()} if brings else {}
    told = list(Adaptive().look(made))
    assert [one.check for one in told] == ["adaptive"]
    if brings:
        assert told[0].verdict == "fail"
        assert made.held.float().mean() < 0.3
    else:
        assert (told[0].value, told[0].sentence[:10]) == (None, "no defense")


def names(checks: Iterable[object]) -> set[str]:
    return {type(check).__name__ for check in checks}


def test_both_levels_look_for_bent_gradients_and_run_the_strongest_search() -> None:
    for level in ("quick", "full"):
        assert {"GradientSecants", "Stalled", "Cascade", "Exact"} <= names(CHECKS[level])
    assert {"Adaptive", "OtherForms"} <= names(CHECKS["full"])
    assert isinstance(CHECKS["full"][-1], Together)
