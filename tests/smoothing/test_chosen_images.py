"""Which images a smoothed system is measured on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from robench import ConfigError, Split
from robench.smoothing.classifier import SmoothedDeployed
from robench.smoothing.noise import Noise
from robench_metrics.smoothed import choose


def evidence(deployed: object) -> Any:
    """A test set of 100 images whose pixels are their numbers, every third one judged."""
    numbers = torch.arange(100, dtype=torch.uint8)
    test = Split(numbers.view(-1, 1, 1, 1).expand(-1, 1, 2, 2), numbers.long() % 10)
    return SimpleNamespace(
        data=SimpleNamespace(test=test),
        numbers=torch.arange(0, 100, 3).numpy(),
        certify_seed=7,
        system=SimpleNamespace(deployed=deployed),
    )


SMOOTHED = SmoothedDeployed(cast(Any, None), Noise(sigma="0.25"), 10, 100, 0.001)


def test_every_nth_of_the_whole_test_set() -> None:
    chosen = choose(evidence(SMOOTHED), 500, 20)
    assert chosen.numbers.tolist() == [0, 20, 40, 60, 80]
    assert chosen.pixels[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80]
    assert choose(evidence(SMOOTHED), 2, 20).numbers.tolist() == [0, 20]


def test_judged_images_evenly_spaced() -> None:
    chosen = choose(evidence(SMOOTHED), 4, None)
    assert chosen.numbers.tolist() == [0, 24, 51, 75]
    assert (chosen.labels == chosen.numbers % 10).all()
    assert len(choose(evidence(SMOOTHED), 500, None).labels) == 34


def test_an_unsmoothed_system_is_refused() -> None:
    with pytest.raises(ConfigError, match="smoothed system"):
        choose(evidence(object()), 4, None)
