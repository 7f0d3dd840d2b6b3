"""Labels of a randomised model are compared with two answers of its own, others one by one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from robench.replay.steps import Refuted
from robench.replay.subject import Subject

N = 200


class Coins:
    """Answers 1 instead of 0 with one probability for each image."""

    def __init__(self, shares: np.ndarray, randomised: bool = True) -> None:
        self.shares, self.randomised = torch.from_numpy(shares), randomised
        self.exact = False

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        return (torch.rand(len(images)) < self.shares[: len(images)]).long()


def subject(deployed: Coins, seed: int = 0) -> Subject:
    fields = dict.fromkeys((field.name for field in dataclasses.fields(Subject)), None)
    made = Subject(**{**fields, "seed": seed})
    rows = type("Record", (), {"rows": ()})()
    object.__setattr__(made, "record", rows)
    object.__setattr__(
        made, "stages", type("Stages", (), {"deployed": deployed, "test": range(N)})()
    )
    return made


def shares() -> np.ndarray:
    return np.random.default_rng(0).choice([0.0, 0.0, 0.3, 0.5, 1.0], N)


def drawn(rng: int) -> np.ndarray:
    return (np.random.default_rng(rng).random(N) < shares()).astype(np.int64)


def test_labels_that_the_model_drew_itself_stand() -> None:
    for seed in range(40):
        subject(Coins(shares()), seed).require_labels("x", drawn(seed), torch.zeros(N, 1))


def test_labels_turned_to_what_is_likelier_for_nobody_fall() -> None:
    turned = drawn(1)
    sure = np.flatnonzero(shares() == 1.0)
    turned[sure] = 0
    with pytest.raises(Refuted, match="while two answers of its own differ on"):
        subject(Coins(shares())).require_labels("x", turned, torch.zeros(N, 1))


def test_a_model_of_floats_may_differ_in_a_fiftieth() -> None:
    still = Coins(np.zeros(N), randomised=False)
    recorded = np.zeros(N, np.int64)
    recorded[:4] = 1
    assert subject(still).require_labels("x", recorded, torch.zeros(N, 1)) == 4
    recorded[:5] = 1
    with pytest.raises(Refuted, match="5 of 200"):
        subject(still).require_labels("x", recorded, torch.zeros(N, 1))


def test_a_model_of_integers_may_not_differ_at_all() -> None:
    exact = Coins(np.zeros(N), randomised=False)
    exact.exact = True
    recorded = np.zeros(N, np.int64)
    recorded[0] = 1
    with pytest.raises(Refuted, match="1 of 200"):
        subject(exact).require_labels("x", recorded, torch.zeros(N, 1))
