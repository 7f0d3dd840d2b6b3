"""Findings from counts: the interval's lower end against a limit, and what follows from many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from robench.audit.verdict import (
    BENT,
    FRACTURED,
    MATERIAL,
    MUCH,
    SIGNS,
    STALLED,
    WEAK,
    above_clean,
    difference,
    missed_finding,
    predicting,
    settled,
    share_finding,
    sound,
)
from robench.base.stats import Paired, paired, wilson
from robench.core.record import Finding, Verdict
from robench.core.sentences import ACQUITTED, SENTENCES


def finding(check: str, verdict: Verdict = "pass", value: float | None = 0.0) -> Finding:
    return Finding(check=check, value=value, n=20, threshold=0.1, verdict=verdict, sentence="it")


def first(count: int, n: int = 100) -> Tensor:
    """True for the first `count` of `n` images."""
    return torch.arange(n) < count


# -- a share ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_mask", [True, False])
@pytest.mark.parametrize(
    ("count", "fail", "verdict"),
    [
        *((0, 0.2, "pass"), (15, 0.2, "pass"), (16, 0.2, "suspect"), (27, 0.2, "suspect")),
        *((28, 0.2, "fail"), (28, None, "suspect"), (100, 0.2, "fail"), (100, None, "suspect")),
    ],
)
def test_a_share_is_judged_by_its_lower_end(
    count: int, fail: float | None, verdict: Verdict, as_mask: bool
) -> None:
    hits = first(count) if as_mask else count
    told = share_finding("noise", hits, 100, suspect=0.1, fail=fail)
    assert (told.check, told.verdict, told.threshold) == ("noise", verdict, 0.1)
    assert (told.value, told.n, (told.low, told.high)) == (count / 100, 100, wilson(count, 100))
    assert told.sentence.startswith(f"on {count}% of 100 images random noise breaks ")


def test_a_lower_end_on_the_limit_passes() -> None:
    low, _ = wilson(16, 100)
    assert share_finding("noise", 16, 100, suspect=low).verdict == "pass"
    assert share_finding("noise", 16, 100, suspect=0.0, fail=low).verdict == "suspect"


def test_a_share_of_no_image_is_none() -> None:
    told = share_finding("noise", 0, 0, suspect=0.0, fail=0.0)
    assert (told.value, told.low, told.high, told.n) == (None, None, None, 0)
    assert (told.verdict, told.threshold) == ("pass", 0.0)
    assert told.sentence.startswith("on none of 0 images random noise breaks ")


def test_one_image_is_enough_for_a_finding() -> None:
    told = share_finding("noise", 1, 1, suspect=0.1)
    assert (told.value, told.verdict) == (1.0, "suspect")


# -- what others break together --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "right", "verdict"),
    [
        (13, 13, "pass"),  # all of what is left, but 8 % of all images at most
        (14, 14, "suspect"),
        (42, 100, "pass"),
        (43, 100, "suspect"),
        (60, 14, "suspect"),  # only those that the attack leaves right count
    ],
)
def test_a_miss_is_material_and_much_of_what_is_left(
    missed: int, right: int, verdict: Verdict
) -> None:
    told = missed_finding("together", first(missed), first(right))
    count = min(missed, right)
    material = wilson(count, 100)[0] > MATERIAL
    assert (told.value, told.n, told.verdict) == (count / right, right, verdict)
    assert told.threshold == (MUCH if material else 1.0)


def test_how_much_is_much_can_be_said() -> None:
    assert missed_finding("together", first(43), first(100), much=0.5).verdict == "pass"
    assert missed_finding("together", first(62), first(100), much=0.5).verdict == "suspect"
    told = missed_finding("missed_by_best_row", first(43), first(100), row="pgd (white_box)")
    assert "the run's best row, pgd (white_box), leaves right" in told.sentence


@pytest.mark.parametrize("n", [0, 5])
def test_where_nothing_is_left_right_nothing_is_missed(n: int) -> None:
    told = missed_finding("together", first(n, n), first(0, n))
    assert (told.value, told.verdict, told.threshold) == (None, "pass", 1.0)


# -- two attacks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gained", [0, 2, 6, 7, 8, 11, 12, 13, 30])
def test_a_difference_is_judged_by_its_lower_end(gained: int) -> None:
    told = difference("margin_loss", first(90), first(90 - gained), suspect=0.02, fail=0.05)
    pair = paired(first(90).numpy(), first(90 - gained).numpy())
    wanted = "fail" if pair.low > 0.05 else "suspect" if pair.low > 0.02 else "pass"
    assert (told.check, told.verdict, told.threshold) == ("margin_loss", wanted, 0.02)
    assert (told.value, told.low, told.high) == (pair.difference, pair.low, pair.high)
    assert told.n == 100
    assert f"takes {gained}.0 points more accuracy" in told.sentence
    exactly = difference(
        "margin_loss", first(90), first(90 - gained), suspect=pair.low - 0.01, fail=pair.low
    )
    assert exactly.verdict == "suspect"
    on_the_limit = difference(
        "margin_loss", first(90), first(90 - gained), suspect=pair.low, fail=pair.low
    )
    assert on_the_limit.verdict == "pass"


@pytest.mark.parametrize(("attacked", "verdict"), [(50, "pass"), (59, "pass"), (62, "fail")])
def test_more_right_under_attack_than_clean_fails(attacked: int, verdict: Verdict) -> None:
    right, clean = np.arange(100) < attacked, np.arange(100) < 55
    pair = paired(right, clean)
    told = above_clean("pgd", pair)
    assert (told.check, told.verdict, told.threshold) == ("above_clean", verdict, 0.0)
    assert (told.value, told.low, told.high, told.n) == (*_ends(pair), 100)
    assert told.sentence == f"accuracy under pgd is {attacked - 55:+}.0 points against clean"


def _ends(pair: Paired) -> tuple[float, float, float]:
    return pair.difference, pair.low, pair.high


def test_no_difference_at_all_passes() -> None:
    assert above_clean("pgd", Paired(0.0, 0.0, 0.0, 0, 0, 50)).verdict == "pass"


# -- all together ----------------------------------------------------------------------------------


def test_every_check_shows_masking_or_a_weak_attack_or_neither() -> None:
    assert not SIGNS & WEAK
    told = {"fractured_gradients", "exact", "strongest", "strongest_elsewhere", "above_clean"}
    assert set(SENTENCES) == SIGNS | WEAK | told
    assert {BENT, STALLED} <= SIGNS
    assert FRACTURED not in SIGNS | WEAK


@pytest.mark.parametrize("check", sorted(SIGNS))
def test_gradients_are_sound_until_a_sign_speaks_against_them(check: str) -> None:
    fine = finding(FRACTURED)
    assert sound([fine, finding(check)])
    assert not sound([fine, finding(check, "suspect")])
    assert not sound([finding(check, "fail"), fine])


@pytest.mark.parametrize("check", sorted(WEAK))
def test_what_beats_an_attack_speaks_against_no_sound_gradient(check: str) -> None:
    fine, passed = finding(FRACTURED), finding(check, "pass", 0.4)
    for weak in (finding(check, "suspect", 0.4), finding(check, "fail", 0.4)):
        assert sound([fine, weak])
        (_, told) = settled([fine, weak])
        assert (told.verdict, told.threshold, told.value) == ("pass", 1.0, 0.4)
        assert told.sentence == "it" + ACQUITTED
    assert settled([fine, passed]) == (fine, passed)
    assert settled([weak]) == (weak,)


@pytest.mark.parametrize("check", ["above_clean", "strongest", "somebodys"])
def test_what_is_neither_stays_as_it_is(check: str) -> None:
    findings = (finding(FRACTURED), finding(check, "fail", 0.4))
    assert settled(iter(findings)) == findings


def test_every_comparison_with_differences_must_predict() -> None:
    mostly, hardly = finding(FRACTURED, value=0.25), finding(FRACTURED, value=0.26)
    assert predicting([mostly, finding("noise", value=1.0)])
    assert not predicting([mostly, hardly])
    assert not predicting([mostly, finding(FRACTURED, value=None)])
    assert not predicting([finding("noise")])
    assert not sound([hardly, finding("noise")])
