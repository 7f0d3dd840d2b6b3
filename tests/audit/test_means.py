"""A system that answers at random is held against the mean of its gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from robench.audit.checks.averages import FIRST, MOST, MeanGradients
from robench.audit.means import Draws, Means
from robench.audit.straight import Straight
from robench.audit.trial import SystemTrial
from robench.audit.verdict import (
    AVERAGED,
    MISSED,
    NOISY,
    SIGNS,
    WATCHED,
    WEAK,
    settled,
)
from robench.base.seeds import generator, seed_scope
from robench.core.record import Finding, Verdict
from robench.core.sentences import RANDOM, follows
from robench.core.threat import Threat
from tests.audit.zoo.exhibit import shipped

THREAT = Threat("linf", 0.2, grid=False)


class Plane(nn.Module):
    """Two classes by a direction that is drawn around a fixed one; the gradient may be another."""

    def __init__(self, noise: float, backward: float = 1.0, scatter: float = 0.0) -> None:
        super().__init__()
        self.noise, self.backward, self.scatter = noise, backward, scatter
        self.normal = torch.linspace(-1, 1, 16)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        normal = self.normal + self.noise * torch.randn(16)
        scattered = self.backward * normal + self.scatter * torch.randn(16)
        shown = flat @ scattered
        score = (flat @ normal).detach() + shown - shown.detach()
        return torch.stack([score, -score], 1)


def drawn(model: nn.Module, draws: int = 16, scores: nn.Module | None = None) -> Draws:
    images, labels = 0.2 + 0.6 * torch.rand(20, 1, 4, 4, generator=generator(0)), torch.zeros(20)
    made = Draws(model, scores or model, images, labels.long(), THREAT, generator(1))
    made.add(draws)
    return made


def means(model: nn.Module, draws: int = 16, scores: nn.Module | None = None) -> Means:
    return drawn(model, draws, scores).means()


def test_the_mean_gradient_of_an_honest_random_system_predicts() -> None:
    value, low, high = means(Plane(1.0)).predicted
    assert low > 1 - MISSED
    assert low <= value <= high <= 1


@pytest.mark.parametrize("backward", [-1.0, 0.0])
def test_a_gradient_of_another_function_does_not(backward: float) -> None:
    made = drawn(Plane(0.3, backward))
    told = made.means()
    assert told.told
    assert made.additive() > 0.9
    assert told.predicted == pytest.approx((backward,) * 3, abs=0.15)


def test_a_gradient_far_noisier_than_the_answers_tells_as_little() -> None:
    told = means(Plane(0.1, 1.0, scatter=10.0))
    assert told.told
    assert told.predicted[2] < 1 - MISSED


def test_more_draws_take_the_noise_of_a_sound_gradient_away() -> None:
    few, many = (means(Plane(0.1, 1.0, scatter=2.0), draws).predicted[0] for draws in (4, 64))
    assert few < many
    assert many > 0.9


class Guess(nn.Module):
    """Scores that no image decides."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn(len(x), 2) + 0 * x.flatten(1)[:, :1]


class Unseeded(nn.Module):
    """Guesses that no seed draws again."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn(len(x), 2, generator=self.rng) + 0 * x.flatten(1)[:, :1]


def test_noise_alone_is_said_to_be_noise() -> None:
    assert not means(Unseeded()).told
    # Under one seed both points get the same guess: nothing changes at all.
    assert not means(Guess()).told


class Own(Plane):
    """Draws by a generator of its own: no two points share a draw."""

    def __init__(self, noise: float) -> None:
        super().__init__(noise)
        self.rng = torch.Generator().manual_seed(0)

    def forward(self, x: Tensor) -> Tensor:
        with seed_scope(int(torch.randint(2**31, (), generator=self.rng))):
            return super().forward(x)


def test_draws_out_of_reach_make_the_means_noisier_and_no_worse() -> None:
    told = means(Own(0.02), 64)
    assert told.told
    assert told.predicted[0] > 0.9
    assert not told.watched.any()


def test_what_noise_takes_from_a_sum_is_given_back() -> None:
    """Of four draws part of each square is noise, which the two halves do not share."""
    assert drawn(Own(0.05), 4).additive() == pytest.approx(1.0, abs=0.15)


def test_who_draws_anew_is_not_said_to_watch() -> None:
    assert not means(Unseeded()).watched.any()


class Bumps(nn.Module):
    """Scores that change by steps: what halves of a direction do says nothing of the whole."""

    def forward(self, x: Tensor) -> Tensor:
        steps = torch.sin(3e3 * x.flatten(1).sum(1)) + 0.01 * torch.randn(len(x))
        return torch.stack([steps, -steps], 1).detach() + 0 * x.flatten(1)[:, :1]


def test_differences_that_do_not_add_up_are_told_from_those_that_do() -> None:
    assert abs(drawn(Bumps()).additive()) < 0.5
    assert drawn(Plane(0.3)).additive() == pytest.approx(1.0, abs=0.05)


class Watching(Plane):
    """The opposite while a gradient is asked for."""

    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        return -scores if torch.is_grad_enabled() else scores


def test_scores_that_notice_a_gradient_are_seen() -> None:
    assert means(Watching(0.3)).watched.all()
    assert not means(Plane(0.3)).watched.any()


# -- the check -------------------------------------------------------------------------------------


def trial(model: nn.Module, randomised: bool = True) -> SystemTrial:
    images = 0.2 + 0.6 * torch.rand(20, 1, 4, 4, generator=generator(0))
    labels = (images.flatten(1) @ torch.linspace(-1, 1, 16) < 0).long()
    return SystemTrial(shipped(model, randomised), images, labels, THREAT, 0)


def looked(model: nn.Module, randomised: bool = True) -> dict[str, Finding]:
    made = trial(model, randomised)
    findings = {found.check: found for found in MeanGradients().look(made)}
    assert all(follows(found, (), ()) for found in findings.values())
    return findings


def test_draws_double_until_they_tell() -> None:
    assert f"mean of {FIRST} gradients" in looked(Plane(0.1))[AVERAGED].sentence
    bent = looked(Plane(0.1, -1.0))[AVERAGED]
    assert f"mean of {MOST} gradients" in bent.sentence
    assert bent.verdict == "suspect"
    assert bent.low is not None
    assert bent.threshold == MISSED < bent.low


def test_what_is_said_is_what_the_mean_gradient_misses() -> None:
    sound = looked(Plane(0.1))[AVERAGED]
    assert sound.value is not None
    assert (sound.verdict, sound.threshold) == ("pass", MISSED)
    assert -0.01 <= sound.value < 0.05
    assert f"(correlation {1 - sound.value:.2f})" in sound.sentence
    # Noise in the gradient alone: the estimate lies above the limit, and not yet its lower end.
    few = means(Plane(0.1, 1.0, scatter=1.0), FIRST).predicted
    assert few[1] < 1 - MISSED < few[2]
    assert (
        f"mean of {FIRST} gradients" not in looked(Plane(0.1, 1.0, scatter=1.0))[AVERAGED].sentence
    )


def test_scores_that_notice_a_gradient_make_suspect() -> None:
    told = looked(Watching(0.3))[WATCHED]
    assert (told.verdict, told.value) == ("suspect", 1.0)


@pytest.mark.parametrize(
    ("check", "verdict", "thrifty", "asked"),
    [
        *(("zero_gradients", "fail", True, False), ("zero_gradients", "fail", False, True)),
        *(("zero_gradients", "suspect", True, True), ("loss_not_rising", "fail", True, True)),
    ],
)
def test_a_thrifty_audit_asks_unless_a_sign_has_failed_the_system(
    check: str, verdict: Verdict, thrifty: bool, asked: bool
) -> None:
    made = trial(Plane(0.1))
    made.thrifty = thrifty
    made.findings = [finding(check, verdict)]
    assert bool(list(MeanGradients().look(made))) == asked


def test_a_system_that_always_answers_alike_is_not_asked() -> None:
    assert not looked(Plane(0.0), randomised=False)


def test_nobody_vouches_for_answers_too_random_to_tell() -> None:
    told = looked(Unseeded())[AVERAGED]
    assert (told.value, told.n, told.verdict) == (None, 0, "suspect")
    assert "was not tested" in told.sentence


def test_what_has_fallen_needs_nobody_to_vouch_for_it() -> None:
    made = trial(Unseeded())
    _ = made.reference
    made.held[:] = False
    (told, _) = MeanGradients().look(made)
    assert told.verdict == "pass"


def test_fractured_differences_alone_make_nobody_suspect() -> None:
    told = looked(Bumps())[AVERAGED]
    assert told.verdict == "pass"
    assert told.low is None or told.low > MISSED


# -- what follows ----------------------------------------------------------------------------------


def finding(check: str, verdict: Verdict, low: float | None = 0.0, high: float = 0.1) -> Finding:
    return Finding(
        check=check,
        value=low,
        low=low,
        high=high,
        n=20,
        threshold=0.1,
        verdict=verdict,
        sentence="it",
    )


PREDICTS = finding(AVERAGED, "pass")
UNCLEAR = finding(AVERAGED, "pass", 0.1, 0.5)
UNTESTED = Finding(check=AVERAGED, value=None, n=0, verdict="suspect", sentence="it")
MISLEADS = finding(AVERAGED, "suspect", MISSED + 0.1, 0.9)


@pytest.mark.parametrize("check", sorted(NOISY))
@pytest.mark.parametrize("mean", [PREDICTS, UNCLEAR, UNTESTED])
@pytest.mark.parametrize("thrifty", [True, False])
def test_nobody_is_convicted_whose_mean_gradient_is_not_shown_to_mislead(
    check: str, mean: Finding, thrifty: bool
) -> None:
    told = settled([mean, finding(check, "fail", 0.5)], thrifty=thrifty)
    assert told[0] == mean
    assert told[1].verdict != "fail"
    assert told[1].sentence == "it" + RANDOM
    assert settled(told, thrifty=thrifty) == told


@pytest.mark.parametrize("check", sorted(NOISY))
def test_a_mean_gradient_that_misleads_convicts(check: str) -> None:
    findings = (MISLEADS, finding(check, "fail", 0.5))
    assert settled(findings) == findings


@pytest.mark.parametrize("check", sorted(SIGNS - NOISY - {AVERAGED, "random_prediction"}))
def test_so_does_any_other_sign(check: str) -> None:
    for verdict in ("suspect", "fail"):
        findings = (PREDICTS, finding(check, verdict, 0.5), finding("margin_loss", "fail", 0.5))
        assert settled(findings) == findings


def test_to_be_random_undeclared_is_no_sign_that_gradients_mislead() -> None:
    findings = (PREDICTS, finding("random_prediction", "suspect"), finding("margin_loss", "fail"))
    assert [told.verdict for told in settled(findings)] == ["pass", "suspect", "suspect"]


@pytest.mark.parametrize(
    ("mean", "thrifty", "dropped"),
    [(PREDICTS, True, True), (PREDICTS, False, False), (UNCLEAR, True, False)],
)
def test_a_thrifty_audit_drops_a_suspicion_where_the_mean_gradient_predicts(
    mean: Finding, thrifty: bool, dropped: bool
) -> None:
    for check in sorted(WEAK):
        (_, told) = settled([mean, finding(check, "suspect", 0.5)], thrifty=thrifty)
        assert (told.verdict, told.threshold) == (("pass", 1.0) if dropped else ("suspect", 0.1))


@pytest.mark.parametrize("thrifty", [True, False])
def test_one_draws_loss_goes_up_and_down(thrifty: bool) -> None:
    for verdict in ("suspect", "fail"):
        loss = finding("loss_not_rising", verdict, 0.5)
        (_, told) = settled([PREDICTS, loss], thrifty=thrifty)
        assert told.verdict == "pass"


# -- the smoother twin of a random network ---------------------------------------------------------


class Detached(nn.Module):
    """One of three sums, and no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        which = int(torch.randint(3, ()))
        score = (x.flatten(1)[:, which] * 2).detach()
        return torch.stack([score, -score], 1)


def test_a_smoother_twin_is_found_whatever_is_drawn() -> None:
    """Two equal draws in a row made it look like a deterministic one that answers otherwise."""
    images = torch.rand(1, 1, 4, 4, generator=generator(0))
    for seed in range(20):
        with seed_scope(seed):
            assert Straight(Detached()).differs(images)


def test_correlations_are_numbers() -> None:
    assert all(math.isfinite(one) for one in means(Guess()).predicted)
