"""Ranks with ties, by known answers and by property."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.leaderboard.ranking import ranks
from robench.leaderboard.row import Row
from robench.stats import paired


def row(name: str, right: Any, verdict: Any = "pass", protocol: str = "a") -> Row:
    bits = np.asarray(right, dtype=bool)
    return Row(
        id=name,
        folders=(Path(),),
        members=(name,),
        system=name,
        settings={},
        versions={},
        protocol=protocol,
        images=len(bits),
        chosen={},
        train={},
        access="white_box",
        seed=0,
        bits=32,
        verdict=verdict,
        cells={},
        threat=None,
        score=float(bits.mean()),
        right=np.packbits(bits).tobytes(),
        attacks=(),
        strips=(),
        axes=frozenset(),
        layers=(),
    )


def shares(*counts: int, n: int = 100) -> list[Row]:
    return [row(str(i), np.arange(n) < count) for i, count in enumerate(counts)]


def test_rows_that_the_images_separate_get_their_own_rank() -> None:
    assert ranks(shares(90, 70, 50)) == {"0": 1, "1": 2, "2": 3}


def test_rows_that_they_cannot_tell_apart_share_one() -> None:
    # 5 images differ: exact McNemar p = 2 * 2**-5 = 0.0625; 6 images: 0.03125.
    assert ranks(shares(90, 85, 84)) == {"0": 1, "1": 1, "2": 3}


def test_what_makes_no_claim_has_no_rank() -> None:
    good = np.ones(50)
    rows = [row("a", good, "fail"), row("b", good * 0, "suspect"), row("c", good, "at_chance")]
    assert ranks(rows) == {"a": None, "b": 1, "c": None}


def test_each_protocol_counts_by_itself() -> None:
    rows = [row("a", np.ones(50)), row("b", np.zeros(50), protocol="b")]
    assert ranks(rows) == {"a": 1, "b": 1}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.booleans(), min_size=24, max_size=24), min_size=1, max_size=8))
def test_ranks_follow_scores_and_first_rows_separate(vectors: list[list[bool]]) -> None:
    rows = [row(str(index), right) for index, right in enumerate(vectors)]
    found = ranks(rows)
    best = sorted(rows, key=lambda one: (-one.score, one.id))
    order = [found[one.id] for one in best]
    assert order[0] == 1
    assert order == sorted(order, key=lambda rank: rank or 0)
    leaders = [one for place, one in enumerate(best, 1) if found[one.id] == place]
    for first, second in pairwise(leaders):
        test = paired(np.array(vectors[int(first.id)]), np.array(vectors[int(second.id)]))
        assert test.p_value < 0.05
