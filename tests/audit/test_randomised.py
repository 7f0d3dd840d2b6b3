"""Random networks: honest ones are no masks, and what masks by randomness is found."""

from __future__ import annotations

import pytest

from robench.audit.verdict import AVERAGED, WATCHED
from tests.audit.zoo import Zoo
from tests.audit.zoo.audited import examined


def test_a_random_crop_is_no_mask(zoo: Zoo) -> None:
    assert examined(zoo.build("random_crop"), zoo.lesson).verdict == "pass"


def test_noise_while_a_gradient_is_asked_for_is_one(zoo: Zoo) -> None:
    result = examined(zoo.build("watched_noise"), zoo.lesson)
    (told,) = (one for one in result.findings if one.check == WATCHED)
    assert (told.verdict, told.value) == ("suspect", 1.0)


@pytest.mark.slow
def test_a_decoy_drawn_anew_is_one(zoo: Zoo) -> None:
    result = examined(zoo.build("random_decoys"), zoo.lesson)
    (told,) = (one for one in result.findings if one.check == AVERAGED)
    assert (told.verdict, result.verdict) == ("suspect", "fail")


@pytest.mark.slow
def test_strong_noise_is_none_for_a_full_audit_either(zoo: Zoo) -> None:
    """Half of the single draws' first steps do not raise the loss."""
    assert examined(zoo.build("strong_noise"), zoo.lesson, "full").verdict == "pass"
