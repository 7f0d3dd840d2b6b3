"""Single checks against systems in which one thing is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from robench.audit.checks.agreement import Agreement
from robench.audit.checks.black_box import BlackBox
from robench.audit.checks.examples import PlantedExamples
from robench.audit.checks.falling import Falling
from robench.audit.checks.gradients import Gradients
from robench.audit.checks.losses import Losses
from robench.audit.checks.neighbours import Neighbours
from robench.audit.checks.noise import RandomNoise
from robench.audit.checks.progress import Progress
from robench.audit.checks.queries import Queries
from robench.audit.checks.randomness import Randomness
from robench.audit.checks.rounding import Rounding
from robench.audit.checks.saturation import Saturation
from robench.audit.checks.temperature import Temperature
from robench.audit.checks.transfer import TransferIn
from robench.audit.checks.unbounded import Unbounded
from robench.audit.trial import SystemTrial
from robench.audit.verdict import share_finding
from robench.core.record import Finding, worst
from robench.core.system import FloatDeployed, System
from robench.plugin.components import Check
from tests.audit.zoo import Zoo
from tests.audit.zoo.layers import Scale, Straight


def trial(
    zoo: Zoo, twin: nn.Module, deployed: nn.Module | None = None, **more: object
) -> SystemTrial:
    lesson = zoo.lesson
    images, labels = lesson.test.float_images()[:60], lesson.test.labels[:60]
    system = System(FloatDeployed(deployed or twin), twin)
    return SystemTrial(system, images, labels, lesson.threat, 0, **more)  # type: ignore[arg-type]


def only(check: Check, made: SystemTrial, name: str) -> Finding:
    (finding,) = [f for f in check.look(made) if f.check == name]
    return finding


class NotANumber(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + (x - x.detach()).sqrt() * 0


class Undeclared(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 5 * torch.randn_like(x)


def test_nonfinite_gradients(zoo: Zoo) -> None:
    made = trial(zoo, nn.Sequential(NotANumber(), zoo.base()))
    finding = only(Gradients(), made, "nonfinite_gradients")
    assert (finding.value, finding.verdict) == (1.0, "fail")


def test_saturated_logits(zoo: Zoo) -> None:
    broken = trial(zoo, nn.Sequential(zoo.base(), Scale(1000.0)))
    assert only(Saturation(), broken, "saturated_logits").verdict == "suspect"
    assert only(Saturation(), trial(zoo, zoo.base()), "saturated_logits").value == 0


def test_a_confident_network_still_climbs_where_float32_rounds_its_loss_away(zoo: Zoo) -> None:
    """Logits 4 times as far apart make cross-entropy 0 in float32, but its gradient is exact."""
    confident = trial(zoo, nn.Sequential(zoo.base(), Scale(4.0)))
    assert (confident.reference.losses[0] == 0).float().mean() > 0.5
    assert only(Progress(), confident, "loss_not_rising").verdict == "pass"
    lost = trial(zoo, nn.Sequential(zoo.base(), Scale(1000.0)))
    assert only(Progress(), lost, "loss_not_rising").verdict == "fail"


@pytest.mark.parametrize("scale", [1e-6, 1e-8])
def test_a_network_of_tiny_logits_climbs_where_float32_rounds_the_rise_away(
    zoo: Zoo, scale: float
) -> None:
    made = trial(zoo, nn.Sequential(zoo.base(), Scale(scale)))
    assert only(Progress(), made, "loss_not_rising").verdict == "pass"
    shattered = zoo.build("shattered").system.twin
    lost = trial(zoo, nn.Sequential(shattered, Scale(scale)))
    assert only(Progress(), lost, "loss_not_rising").value > 0.35  # type: ignore[operator]


class Sharing(nn.Module):
    """Every image minus what it has in common with its neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


def test_a_network_that_looks_at_the_whole_batch(zoo: Zoo) -> None:
    made = trial(zoo, nn.Sequential(Sharing(), zoo.base()))
    finding = only(Neighbours(), made, "depends_on_batch")
    assert finding.verdict == "suspect"
    assert finding.low is not None
    assert finding.low > 0.05
    for name in ("plain", "ptq4"):
        honest = trial(zoo, zoo.build(name).system.twin)
        assert only(Neighbours(), honest, "depends_on_batch").value == 0


def test_random_answers_are_not_asked_beside_others(zoo: Zoo) -> None:
    assert not list(Neighbours().look(trial(zoo, nn.Sequential(zoo.base(), Undeclared()))))


def test_where_the_loss_is_0_half_of_the_gradient_is_gone() -> None:
    """What `saturated_gradients` says of the logits' gradient, against float64."""

    def gradient(dtype: torch.dtype) -> tuple[float, Tensor]:
        logits = torch.tensor([[20.0, 0.0, -1.0]], dtype=dtype, requires_grad=True)
        loss = nn.functional.cross_entropy(logits, torch.tensor([0]))
        (found,) = torch.autograd.grad(loss, logits)
        return float(loss.detach()), found[0].double()

    (rounded, single), (exact, double) = gradient(torch.float32), gradient(torch.float64)
    assert rounded == 0 < exact
    assert single[0] == 0
    assert torch.allclose(single[1:], double[1:], rtol=1e-5)
    assert double[0] == pytest.approx(-float(double[1:].sum()))


def test_saturated_gradients(zoo: Zoo) -> None:
    """They count where another search shows what they hid; confidence alone is no masking."""
    hiding = trial(zoo, nn.Sequential(zoo.base(), Scale(1000.0)))
    assert only(Rounding(), hiding, "saturated_gradients").value == 0
    list(Losses().look(hiding))
    finding = only(Rounding(), hiding, "saturated_gradients")
    assert finding.verdict == "suspect"
    assert finding.value is not None
    assert finding.value > 0.8
    confident = trial(zoo, nn.Sequential(zoo.base(), Scale(4.0)))
    list(Losses().look(confident))
    assert only(Rounding(), confident, "saturated_gradients").verdict == "pass"


def test_no_queries_where_nothing_is_left(zoo: Zoo) -> None:
    made = trial(zoo, zoo.base())
    made.held[5:] = False
    assert not list(Queries().look(made))
    made.thrifty = False
    assert len(list(Queries().look(made))) == 1


def test_undeclared_randomness(zoo: Zoo) -> None:
    made = trial(zoo, nn.Sequential(zoo.base(), Undeclared()))
    assert made.randomised
    assert only(Randomness(), made, "random_prediction").verdict == "suspect"


def test_a_twin_of_another_function(zoo: Zoo) -> None:
    """The twin falls for its own gradient; what is deployed sees black and white alone."""
    made = trial(zoo, zoo.base(), nn.Sequential(Straight(torch.round, False), zoo.base()))
    assert only(Agreement(), made, "twin_disagrees").verdict == "suspect"
    assert only(Agreement(), trial(zoo, zoo.base()), "twin_disagrees").value == 0


def test_unbounded_eps(zoo: Zoo) -> None:
    assert only(Unbounded(), trial(zoo, zoo.base(), thrifty=False), "unbounded_eps").value == 0
    assert not list(Unbounded().look(trial(zoo, zoo.base())))
    masked = zoo.build("scaled_logits").system.twin
    assert only(Unbounded(), trial(zoo, masked), "unbounded_eps").verdict == "suspect"


def test_noise_beats_a_useless_attack(zoo: Zoo) -> None:
    fragile = nn.Sequential(Scale(3.0), zoo.build("gradient_stop").system.twin)
    finding = only(RandomNoise(), trial(zoo, fragile), "noise")
    assert finding.value is not None
    assert finding.value > only(RandomNoise(), trial(zoo, zoo.base()), "noise").value  # type: ignore[operator]


def test_transfer_from_the_parent(zoo: Zoo) -> None:
    masked = zoo.build("gradient_stop").system.twin
    made = trial(zoo, masked, sources={"float parent": zoo.base})
    assert only(TransferIn(), made, "transfer").verdict == "fail"


def test_temperature_brings_cross_entropy_back(zoo: Zoo) -> None:
    made = trial(zoo, zoo.build("scaled_logits").system.twin)
    assert only(Temperature(), made, "temperature").verdict == "fail"


def test_random_search_beats_a_shattered_gradient(zoo: Zoo) -> None:
    finding = only(BlackBox(images=25), trial(zoo, zoo.build("shattered").system.twin), "black_box")
    assert finding.verdict == "fail"
    honest = only(BlackBox(images=25, queries=10), trial(zoo, zoo.base()), "black_box")
    assert honest.verdict == "pass"


def test_honest_accuracy_falls_with_eps(zoo: Zoo) -> None:
    assert only(Falling(), trial(zoo, zoo.base()), "rises_with_eps").verdict == "pass"


def test_nothing_right_nothing_to_say(zoo: Zoo) -> None:
    """A model that is always wrong: every check copes without images."""
    from robench.audit.checks import CHECKS

    made = trial(zoo, zoo.base())
    made = SystemTrial(made.system, made.images, (made.labels + 1) % 10, made.threat, 0)
    wrong = SystemTrial(
        made.system, made.images[~made.clean], made.labels[~made.clean], made.threat, 0
    )
    assert not wrong.clean.any()
    findings = [f for check in CHECKS["full"] for f in check.look(wrong)]
    assert worst(f.verdict for f in findings) == "pass"


def test_share_needs_evidence_not_a_single_image() -> None:
    assert share_finding("noise", 1, 1, suspect=0.3).verdict == "pass"
    assert share_finding("noise", 30, 100, suspect=0.1, fail=0.2).verdict == "fail"
    assert share_finding("noise", 0, 0, suspect=0.0).value is None


@dataclass(frozen=True, kw_only=True)
class Foreign(Check):
    """A check of somebody else's."""

    def look(self, trial: SystemTrial) -> Iterable[Finding]:
        found = share_finding("noise", trial.clean, len(trial), suspect=0.5)
        yield found.model_copy(update={"check": "foreign"})


def test_a_plugin_brings_a_check(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    from robench.plugin.registry import Choice, registry
    from robench.run.config import AuditConfig
    from robench.run.examination import _checks

    choice = Choice("check", "foreign", Foreign, "test", "test", "0")
    monkeypatch.setitem(registry().choices["check"], "foreign", choice)

    class Steps:
        class config:
            audit = AuditConfig(level="quick", checks="foreign")

    checks = _checks(Steps)  # type: ignore[arg-type]
    assert isinstance(checks[-1], Foreign)
    (finding,) = checks[-1].look(trial(zoo, zoo.base()))
    assert finding.verdict == "suspect"


class Routed(nn.Module):
    """Dark images go to one network, bright ones to another, which an empty batch never reaches."""

    def __init__(self, dark: nn.Module, bright: nn.Module) -> None:
        super().__init__()
        self.dark, self.bright = dark, bright

    def forward(self, images: Tensor) -> Tensor:
        light = images.mean((1, 2, 3)) > 0.3
        logits = images.new_zeros(len(images), 10)
        for part, network in ((~light, self.dark), (light, self.bright)):
            if part.any():
                logits[part] = network(images[part])
        return logits


class Watching(nn.Module):
    """Another network answers while a gradient is asked for."""

    def __init__(self, asked: nn.Module, otherwise: nn.Module) -> None:
        super().__init__()
        self.asked, self.otherwise = asked, otherwise

    def forward(self, images: Tensor) -> Tensor:
        network = self.asked if images.requires_grad else self.otherwise
        logits: Tensor = network(images)
        return logits


@pytest.mark.parametrize("kind", [Routed, Watching])
def test_where_not_all_images_reach_the_last_layer_no_example_is_planted(
    zoo: Zoo, kind: type[nn.Module]
) -> None:
    assert list(PlantedExamples().look(trial(zoo, zoo.base()))) != []
    assert list(PlantedExamples().look(trial(zoo, kind(zoo.base(), deepcopy(zoo.base()))))) == []
