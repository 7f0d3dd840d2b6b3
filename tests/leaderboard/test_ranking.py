"""Ranks with ties, by known answers and by property."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.stats import mcnemar, paired
from robench.leaderboard.table.entries import ALPHA, entries
from robench.leaderboard.table.proof import Proof
from robench.leaderboard.table.ranking import ranks as ranks_of
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.standing import no_rank
from robench.records.protocols import Protocol
from tests.leaderboard.made import protocol

CONSISTENT = Proof("consistent", ("consistent",))
P, OTHER = protocol(), protocol("q")
CERTIFIED = protocol("c", headline_eps=None, headline_radius=0.5)


def row(
    name: str,
    right: Any,
    word: Any = "holds",
    under: Protocol | None = P,
    proof: Proof = CONSISTENT,
) -> BoardRow:
    bits = np.asarray(right, dtype=bool)
    return BoardRow(
        id=name,
        folders=(Path(),),
        members=(name,),
        contents=(name,),
        system=name,
        network="",
        recipe=name,
        origin=name,
        meaning={},
        weights="",
        protocol=under,
        why_open="" if under else "no protocol was chosen",
        images=len(bits),
        chosen={},
        train={},
        access="white_box",
        seed=0,
        bits=32,
        file=None,
        word=word,
        sentence=f"it is {word}",
        cells={},
        threat=None,
        right=np.packbits(bits).tobytes(),
        judged=len(bits),
        missing="nothing is known" if not len(bits) else "",
        subset="",
        attacks=(),
        queries_only=frozenset(),
        strips=(),
        axes=frozenset(),
        layers=(),
        proof=proof,
    )


def ranks(rows: Iterable[BoardRow]) -> dict[str, int | None]:
    return ranks_of(entries(rows))


def shares(*counts: int, n: int = 100) -> list[BoardRow]:
    return [row(str(i), np.arange(n) < count) for i, count in enumerate(counts)]


def test_rows_that_the_images_separate_get_their_own_rank() -> None:
    rows = shares(90, 70, 50)
    assert ranks(rows) == ranks(reversed(rows)) == {"0": 1, "1": 2, "2": 3}
    assert [one.score for one in rows] == [0.9, 0.7, 0.5]


def test_the_score_decides_before_the_id() -> None:
    assert ranks(shares(50, 70, 90)) == {"2": 1, "1": 2, "0": 3}


def test_rows_that_they_cannot_tell_apart_share_one() -> None:
    # 5 images differ: exact McNemar p = 2 * 2**-5 = 0.0625; 6 images: 0.03125.
    assert ranks(shares(90, 85, 84)) == {"0": 1, "1": 1, "2": 3}


def test_rows_that_differ_both_ways_share_one() -> None:
    """20 images more against 9: p = 0.061; against 8: 0.036."""
    for other, rank in ((9, 1), (8, 2)):
        at = np.arange(100)
        rows = [row("a", at < 50), row("b", (at >= 20) & (at < 50 + other))]
        assert ranks(rows) == {"a": 1, "b": rank}, (other, mcnemar(20, other))


def test_a_test_at_its_level_does_not_separate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robench.leaderboard.table.entries.mcnemar", lambda *_: ALPHA)
    assert ranks(shares(90, 50)) == {"0": 1, "1": 1}


def test_equal_rows_stand_by_their_ids() -> None:
    rows = [row(name, np.ones(9)) for name in "cab"]
    assert ranks(rows) == {"a": 1, "b": 1, "c": 1}
    assert ranks([]) == {}


@pytest.mark.parametrize("word", ["masked", "invalid", "at_chance"])
def test_what_makes_no_claim_has_no_rank(word: str) -> None:
    good = np.ones(50)
    rows = [row("a", good, word), row("b", good * 0, "broken"), row("c", good, "suspect")]
    assert ranks(rows) == {"a": None, "b": 2, "c": 1}
    assert no_rank(rows[0]) == f"it is {word}"
    assert no_rank(rows[1]) == ""


def test_a_certificate_ranks_whatever_gradients_do() -> None:
    rows = [row(word, np.ones(9), word, CERTIFIED) for word in ("masked", "invalid", "at_chance")]
    assert ranks(rows) == {"masked": 1, "invalid": 1, "at_chance": None}


def test_what_is_unknown_has_no_rank() -> None:
    rows = [row("a", []), row("b", np.zeros(9))]
    assert ranks(rows) == {"a": None, "b": 1}
    assert (rows[0].score, no_rank(rows[0])) == (0.0, "nothing is known")


@pytest.mark.parametrize(
    ("proof", "why"),
    [
        (Proof("reported", ("reported",)), "not all of it follows from what it stored"),
        (Proof("verified", ("verified",), disputed=True), "it is disputed"),
    ],
)
def test_a_rank_needs_a_consistent_row_that_nobody_disputes(proof: Proof, why: str) -> None:
    rows = [row("a", np.ones(50), proof=proof), row("b", np.zeros(50)), row("c", np.ones(50))]
    assert ranks(rows) == {"a": None, "b": 2, "c": 1}
    assert no_rank(rows[0]) == why


def test_each_protocol_counts_by_itself_and_open_runs_do_not() -> None:
    rows = [
        row("a", np.ones(50)),
        row("b", np.zeros(50), under=OTHER),
        row("c", np.ones(50), under=None),
        row("d", np.zeros(50), under=protocol(version=2)),
        row("e", np.zeros(50)),
    ]
    assert ranks(rows) == {"a": 1, "b": 1, "c": None, "d": 1, "e": 2}
    assert no_rank(rows[2]) == "an open run: no protocol was chosen"


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
