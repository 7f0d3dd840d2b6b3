"""Rows of a randomised model are verified by their accuracy, others label by label."""

from __future__ import annotations

import numpy as np

from robench.core.outcomes import RowOutcomes
from robench.replay.verify import _different

TRUTH = np.zeros(100, np.int64)
RECORDED = RowOutcomes(
    attack="pgd",
    access="white_box",
    search="ball",
    norm="linf",
    eps=0.1,
    image=np.arange(100, dtype=np.int32),
    label=TRUTH.astype(np.int16),
    clean_prediction=TRUTH.astype(np.int16),
    prediction=np.repeat([0, 1], [90, 10]).astype(np.int16),
    linf=np.zeros(100, np.float32),
    l2=np.zeros(100, np.float32),
    valid=True,
)


def test_a_randomised_row_stands_while_its_accuracy_stays_in_the_interval() -> None:
    turned = np.repeat([1, 0], [10, 90])
    assert _different(turned, RECORDED, randomised=False) == 20
    assert _different(turned, RECORDED, randomised=True) == 0


def test_a_randomised_row_falls_with_its_accuracy() -> None:
    assert _different(np.ones(100, np.int64), RECORDED, randomised=True) == 100
