"""Ranks with ties, by known answers and by property."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.stats import paired
from robench.leaderboard.table.proof import Proof
from robench.leaderboard.table.ranking import no_rank, ranks
from robench.leaderboard.table.row import BoardRow

CONSISTENT = Proof("consistent")


def row(
    name: str,
    right: Any,
    verdict: Any = "pass",
    protocol: str = "a",
    audited: tuple[int, int] | None = None,
    proof: Proof = CONSISTENT,
) -> BoardRow:
    bits = np.asarray(right, dtype=bool)
    return BoardRow(
        id=name,
        folders=(Path(),),
        files=(),
        members=(name,),
        contents=(name,),
        system=name,
        meaning={},
        weights="",
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
        right=np.packbits(bits).tobytes(),
        audited=audited,
        attacks=(),
        queries_only=frozenset(),
        strips=(),
        axes=frozenset(),
        layers=(),
        proof=proof,
    )


def shares(*counts: int, n: int = 100) -> list[BoardRow]:
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


@pytest.mark.parametrize("proof", [Proof("reported"), Proof("verified", disputed=True)])
def test_a_rank_needs_a_consistent_row_that_nobody_disputes(proof: Proof) -> None:
    good, bad = np.ones(50), np.zeros(50)
    rows = [row("a", good, proof=proof, audited=(50, 50)), row("b", bad), row("c", good)]
    # Nor does its audit take the rank of those that have none.
    assert ranks(rows) == {"a": None, "b": 2, "c": 1}
    assert no_rank(rows[0]) in {"it is disputed", "not all of it follows from what it stored"}


def test_each_protocol_counts_by_itself() -> None:
    rows = [row("a", np.ones(50)), row("b", np.zeros(50), protocol="b")]
    assert ranks(rows) == {"a": 1, "b": 1}


def test_the_audited_accuracy_ranks_and_rows_without_one_make_no_claim() -> None:
    full, half = np.ones(50), np.arange(50) < 25
    rows = [row("a", full, audited=(10, 100)), row("b", half, audited=(40, 100)), row("c", full)]
    assert ranks(rows) == {"a": 2, "b": 1, "c": None}


def test_no_rank_goes_by_an_audit_above_what_the_attacks_left() -> None:
    few, half = np.arange(100) < 7, np.arange(100) < 50
    rows = [row("a", few, audited=(4, 10)), row("b", half, audited=(20, 100))]
    assert [one.counts for one in rows] == [(7, 100), (20, 100)]
    assert ranks(rows) == {"a": 2, "b": 1}


def test_audits_too_small_to_tell_rows_apart_share_a_rank() -> None:
    rows = [row(str(n), np.ones(50), audited=(n, 100)) for n in (60, 50, 40)]
    # Newcombe (1998): 60/100 - 50/100 lies in [-0.037, 0.232], 60/100 - 40/100 in [0.061, 0.328].
    assert ranks(rows) == {"60": 1, "50": 1, "40": 3}


def test_all_images_separate_rows_whose_audits_are_too_small_in_the_same_order_only() -> None:
    full, half = np.ones(50), np.arange(50) < 25
    same = [row("a", full, audited=(60, 100)), row("b", half, audited=(55, 100))]
    assert ranks(same) == {"a": 1, "b": 2}
    most = np.arange(50) < 40
    turned = [row("a", most, audited=(60, 100)), row("b", full, audited=(55, 100))]
    assert ranks(turned) == {"a": 1, "b": 1}


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
