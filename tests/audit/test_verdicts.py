"""The audit against models whose truth is known; the slow test covers the whole zoo."""

from __future__ import annotations

import pytest

from tests.audit.zoo import HONEST, MASKED, Zoo
from tests.audit.zoo.audited import examined

QUICKLY_MADE = (
    "input_rounding",
    "activation_rounding",
    "numpy_preprocessing",
    "gradient_stop",
    "mulaw",
    "scaled_logits",
    "extra_softmax",
)


@pytest.mark.parametrize("name", QUICKLY_MADE)
def test_masked_models_fail(zoo: Zoo, name: str) -> None:
    result = examined(zoo.build(name), zoo.lesson)
    assert result.verdict == "fail"
    assert any(f.verdict == "fail" and f.sentence for f in result.findings)


def test_gradients_that_point_nowhere_are_suspect(zoo: Zoo) -> None:
    """Square's few quick queries do not always prove it; the loss that does not rise shows it."""
    assert examined(zoo.build("shattered"), zoo.lesson).verdict != "pass"


@pytest.mark.parametrize("name", ["plain", "ptq8", "ptq4", "tiny_input"])
def test_honest_models_pass(zoo: Zoo, name: str) -> None:
    assert examined(zoo.build(name), zoo.lesson).verdict == "pass"


@pytest.mark.parametrize("name", ["scaled_logits", "numpy_preprocessing", "gradient_stop"])
def test_what_masking_hid_is_found(zoo: Zoo, name: str) -> None:
    """The plain network inside holds on less than a fifth of the images, whatever is around it."""
    result = examined(zoo.build(name), zoo.lesson)
    naive = result.trial.clean & ~result.trial.tried["reference"]
    assert naive.float().mean() > 0.9
    assert result.trial.held.float().mean() < 0.2


@pytest.mark.slow
def test_the_zoo(zoo: Zoo) -> None:
    verdicts = {name: examined(zoo.build(name), zoo.lesson).verdict for name in zoo.names}
    assert sum(verdicts[name] != "pass" for name in MASKED) >= 0.9 * len(MASKED)
    honest = [verdicts[name] for name in HONEST]
    assert "fail" not in honest
    assert honest.count("suspect") <= 1
