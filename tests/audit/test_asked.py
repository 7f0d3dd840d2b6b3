"""What a thrifty audit does not ask, since it could not matter or others have settled it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.audit.checks.labels import LONGER, Labels
from robench.audit.checks.losses import Losses
from robench.audit.checks.memory import _changing
from robench.audit.checks.scores import JUMPING, JumpingScores
from robench.audit.checks.smoother import Smoother
from robench.audit.checks.transfer import TransferIn
from robench.audit.trial import SystemTrial
from robench.audit.verdict import BENT
from robench.core.record import Finding, Verdict
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.plugin.components import Check
from robench.search import RaySearch


class Rounded(nn.Module):
    """Class 1 where the mean of the pixels, rounded, is high: no gradient passes."""

    def forward(self, x: Tensor) -> Tensor:
        mean = (x.flatten(1).mean(1) * 20).round() / 20 - 0.5
        return torch.stack([-mean, mean], 1)


def trial(*, thrifty: bool, left: int = 60) -> SystemTrial:
    """Sixty images, of which so many hold."""
    shades = torch.linspace(0.1, 0.9, 60).view(60, 1, 1, 1).expand(60, 1, 4, 4)
    system = System(FloatDeployed(Rounded()), Rounded().eval())
    labels = (shades[:, 0, 0, 0] > 0.5).long()
    made = SystemTrial(system, shades.clone(), labels, Threat("linf", 0.02), 0, thrifty=thrifty)
    made.sources = {"float parent": Rounded}
    _ = made.reference
    made.held[left:] = False
    return made


def found(check: str, verdict: Verdict) -> Finding:
    return Finding(
        check=check, value=1.0, low=1.0, high=1.0, n=20, threshold=0.2, verdict=verdict, sentence=""
    )


@pytest.mark.parametrize("check", [Smoother(), TransferIn(), JumpingScores(), Labels()])
def test_not_what_next_to_nothing_is_left_of(check: Check) -> None:
    assert list(check.look(trial(thrifty=True, left=6))) == []
    assert list(check.look(trial(thrifty=True, left=7)))
    assert list(check.look(trial(thrifty=False, left=6)))


@pytest.mark.parametrize("check", [JumpingScores(), Labels()])
def test_not_of_what_has_failed(check: Check) -> None:
    for thrifty in (True, False):
        made = trial(thrifty=thrifty)
        made.findings = [found("zero_gradients", "fail")]
        assert bool(list(check.look(made))) == (not thrifty)


def test_no_other_loss_of_a_gradient_that_is_bent() -> None:
    for thrifty, verdict in ((True, "suspect"), (True, "pass"), (False, "suspect")):
        made = trial(thrifty=thrifty)
        made.findings = [found(BENT, verdict)]  # type: ignore[arg-type]
        assert bool(list(Losses().look(made))) == (not thrifty or verdict == "pass")


def test_labels_where_scores_jump_or_the_usual_attack_breaks_next_to_nothing() -> None:
    for more, jumps in ((0, "pass"), (1, "pass"), (1, "suspect")):
        made = trial(thrifty=True)
        wrong = made.reference.wrong
        wrong[:] = torch.arange(len(wrong)) < len(wrong) // 10 + more
        made.findings = [found(JUMPING, jumps)]  # type: ignore[arg-type]
        assert bool(list(Labels().look(made))) == (more == 0 or jumps == "suspect")


@pytest.mark.parametrize(
    ("thrifty", "falling", "calls"),
    [
        (True, 0, [(100, 10)]),
        (True, 1, [(100, 10), (100, 20), (100, 10), (100, 18)]),
        (False, 0, [(100, 10)]),
        (False, 1, [(100, 10), (100, 48), (LONGER * 100, 56)]),
    ],
)
def test_labels_are_asked_of_a_few_images_first_and_longer_of_what_then_holds(
    thrifty: bool, falling: int, calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 58 images that are right clean, 30 or all at once; one of each call falls or none."""
    asked: list[tuple[int, int]] = []

    def run(self: RaySearch, _: object, images: Tensor, *__: object) -> Tensor:
        asked.append((self.queries, len(images)))
        found = images.clone()
        found[:falling] = 1 - found[:falling]
        return found

    monkeypatch.setattr(RaySearch, "run", run)
    made = trial(thrifty=thrifty)
    made.reference.wrong[:] = False
    list(Labels().look(made))
    assert asked == calls


@pytest.mark.parametrize(("more", "others"), [(0.24, False), (0.26, True), (-0.16, False)])
def test_a_score_is_another_from_a_tenth_of_the_lead_on(more: float, others: bool) -> None:
    """The two scores are opposite numbers: one tenth of the lead is a fifth of each."""
    made = trial(thrifty=True)
    logits = Rounded()(made.images)
    told = _changing(made, (1 + more) * logits)
    sure = float((logits[:, 0] != 0).float().mean())
    assert told.value == (pytest.approx(sure) if others else 0.0)
