"""Of all rows each is told the one that surely beats it, in one pass."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from robench.core.outcomes import CLEAN, Outcomes, RowOutcomes
from robench.core.record import AttackRow
from robench.records.weaker import weaker

IMAGES = 40
Place = tuple[str, str, str, float]


def judged(place: tuple[str, str, str, float | None], right: int, search: str) -> RowOutcomes:
    attack, access, norm, eps = place
    label, far = np.zeros(IMAGES, np.int16), np.zeros(IMAGES, np.float32)
    told = (np.arange(IMAGES) >= right).astype(np.int16)
    numbers = np.arange(IMAGES, dtype=np.int32)
    return RowOutcomes(
        attack, access, search, norm, eps, numbers, label, label, told, far, far, valid=True
    )


def run(right: dict[Place, int]) -> tuple[list[AttackRow], Outcomes]:
    """Rows by the images that they leave right, and their outcomes."""
    searches = [judged(place, count, "ball") for place, count in right.items()]
    rows = [
        AttackRow(attack=a, access=b, norm=n, eps=e, gradients=9, queries=9) for a, b, n, e in right
    ]
    return rows, Outcomes((judged((CLEAN, "none", "", None), IMAGES, CLEAN), *searches))


def beaten(rows: Sequence[AttackRow], outcomes: Outcomes) -> list[str | None]:
    return [one.than if one else None for one in weaker(rows, outcomes, ())]


def test_each_row_is_told_the_strongest_other_attack_of_its_own_threat() -> None:
    def at(attack: str, access: str = "white_box", norm: str = "linf", eps: float = 0.1) -> Place:
        return attack, access, norm, eps

    rows, outcomes = run(
        {
            at("weak"): 30,
            at("strong"): 5,
            at("second"): 6,
            at("alike"): 5,
            at("weak", eps=0.2): 20,
            at("weak", norm="l2"): 20,
            at("guess", access="transfer"): 30,
            at("best", access="transfer"): 0,
        }
    )
    # Of the two that leave five images the first by name; the others have their threats alone.
    assert beaten(rows, outcomes) == ["alike", None, None, None, None, None, None, None]


def test_what_many_rows_cost_grows_no_faster_than_they_do() -> None:
    right = {(f"a{n}", "white_box", "linf", 0.1): 20 + n % 2 for n in range(800)}
    right["best", "white_box", "linf", 0.1] = 0
    rows, outcomes = run(right)
    began = time.process_time()
    assert beaten(rows, outcomes) == ["best"] * 800 + [None]
    assert time.process_time() - began < 1
