"""One line a network made alike: means, spreads, float parents and what compression took."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.base.stats import paired, paired_counts
from robench.leaderboard.table.answers import ALL, BOTH, NOTHING, SHIPPED, answers, loss_text
from robench.leaderboard.table.entries import Entry, Loss, entries, loss, parents
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Site, make_site
from tests.leaderboard.shelf import N, few, shelf, shelf_row


def bits(row: BoardRow) -> Any:
    return np.unpackbits(np.frombuffer(row.right, np.uint8))[:N].astype(bool)


def shown(site: Site) -> Any:
    """What the table prints, line by line."""
    (group,) = site.tabs[0].groups
    return [
        (
            [row.id for row in entry.rows],
            site.ranks[entry.first.id],
            entry.headline,
            group.loss(entry),
            {row.id: group.parents[row.id].id for row in entry.rows if row.id in group.parents},
        )
        for entry in group.entries
    ]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**20), st.integers(1, 30), st.randoms(use_true_random=False))
def test_no_order_of_rows_decides_and_rank_goes_by_the_mean(
    seed: int, count: int, random: Any
) -> None:
    rows = shelf(count, seed)
    wanted = shown(make_site(rows, []))
    again = list(rows)
    random.shuffle(again)
    assert shown(make_site(again, [])) == wanted
    ranked = [(rank, head.value) for _, rank, head, *_ in wanted if rank is not None]
    assert [value for _, value in ranked] == sorted((v for _, v in ranked), reverse=True)
    assert [rank for rank, _ in ranked] == sorted(rank for rank, _ in ranked)
    assert not ranked or ranked[0][0] == 1


def test_seeds_are_one_entry_with_their_mean_and_spread() -> None:
    rows = [shelf_row(f"0000000{k}", share, seed=k) for k, share in enumerate((0.5, 0.6, 0.7))]
    for order in permutations(rows):
        (entry,) = entries(order)
        assert [row.id for row in entry.rows] == ["00000002", "00000001", "00000000"]
        assert entry.score == pytest.approx(0.6)
        assert (entry.headline.low, entry.headline.high) == (0.5, 0.7)
        assert entry.headline.value == pytest.approx(0.6)


@pytest.mark.parametrize(
    "other",
    [
        {"level": "verified"},
        {"level": "reported"},
        {"word": "masked"},
        {"defense": "mulaw"},
        {"compressor": "ptq"},
        {"under": None},
    ],
)
def test_what_was_made_or_proven_otherwise_stands_alone(other: dict[str, Any]) -> None:
    rows = [shelf_row("0000000a", 0.5), shelf_row("0000000b", 0.6, seed=1, **other)]
    assert [len(entry.rows) for entry in entries(rows)] == [1, 1]


def test_the_word_of_a_mean_is_that_of_which_least_can_be_said() -> None:
    rows = [shelf_row("0000000a", 0.5), shelf_row("0000000b", 0.0, seed=1, word="broken")]
    (entry,) = entries(rows)
    assert (entry.least.id, entry.least.mark) == ("0000000b", "broken")


def test_a_child_is_paired_with_its_float_parent_on_the_same_images() -> None:
    rng = np.random.default_rng(0)
    parent = shelf_row("0000000a", 0.5, rng=rng)
    child = shelf_row("0000000b", 0.4, compressor="ptq", rng=rng)
    other = shelf_row("0000000c", 0.4, compressor="ptq", seed=1, rng=rng)
    known = parents([child, other, parent])
    assert {name: row.id for name, row in known.items()} == {"0000000b": "0000000a"}
    wanted = paired(bits(child), bits(parent))
    assert loss(Entry((child,)), known) == Loss(wanted.difference, wanted.low, wanted.high, 1)
    assert loss(Entry((other,)), known) is None


def test_of_two_parents_the_one_that_proves_more_is_taken() -> None:
    rows = [
        shelf_row("0000000a", 0.5),
        shelf_row("0000000b", 0.4, level="verified"),
        shelf_row("0000000c", 0.3, compressor="ptq"),
    ]
    for order in permutations(rows):
        assert parents(order)["0000000c"].id == "0000000b"


@pytest.mark.parametrize(
    ("floats", "taken"),
    [
        ([{"level": "reported"}], None),
        ([{"level": "consistent"}], "0000000a"),
        ([{"level": "consistent"}, {"level": "reported"}], "0000000a"),
        ([{"level": "consistent"}, {"level": "consistent"}], None),
        ([{"level": "consistent"}, {"level": "consistent"}, {"level": "verified"}], "0000000c"),
        ([{"level": "consistent", "disputed": True}], None),
    ],
)
def test_who_adds_a_float_network_moves_no_row_that_proves_more(
    floats: list[dict[str, Any]], taken: str | None
) -> None:
    child = shelf_row("0000000f", 0.4, compressor="ptq", level="consistent")
    given = [
        shelf_row(f"0000000{name}", 0.5 + 0.1 * k, **one)
        for k, (name, one) in enumerate(zip("abc", floats, strict=False))
    ]
    for order in permutations([child, *given]):
        found = parents(order).get("0000000f")
        assert (found and found.id) == taken


def test_a_float_parent_folds_below_no_child_that_proves_less() -> None:
    proven = shelf_row("aaaaaaaa", 0.5, level="verified")
    forged = shelf_row("bbbbbbbb", 0.4, compressor="ptq")
    child = shelf_row("cccccccc", 0.3, compressor="qat_int8", level="verified")

    def lines(*rows: BoardRow) -> list[str]:
        (group,) = make_site(rows, []).tabs[0].groups
        assert all(group.loss(one) for one in group.entries if one.first is not proven)
        return [one.first.id for one in group.lines]

    assert lines(proven, forged) == ["aaaaaaaa", "bbbbbbbb"]
    assert lines(proven, forged, child) == ["bbbbbbbb", "cccccccc"]


def test_the_loss_of_several_is_the_mean_of_their_own() -> None:
    rows = [shelf_row(f"0000000{k}", 0.5, seed=k) for k in range(2)]
    made = [
        shelf_row(f"0000001{k}", 0.5 - (k + 1) / 10, compressor="ptq", seed=k) for k in range(2)
    ]
    found = loss(Entry(tuple(made)), parents([*rows, *made]))
    assert found
    assert found.networks == 2
    assert (found.difference, found.low, found.high) == pytest.approx((-0.15, -0.2, -0.1))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_counts_say_what_images_say(pairs: list[tuple[bool, bool]]) -> None:
    left, right = (np.array(its) for its in zip(*pairs, strict=True))
    both, one, other = (int(of.sum()) for of in (left & right, left & ~right, right & ~left))
    assert paired_counts(both, one, other, len(pairs)) == paired(left, right)


def test_counts_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="counts of 3 images"):
        paired_counts(2, 1, 1, 3)


# -- answers ---------------------------------------------------------------------------------------


def asked(rows: list[BoardRow]) -> dict[str, Any]:
    site = make_site(rows, [])
    return {one.question: one for one in answers(site.tabs[0].groups[0], site.ranks)}


def test_the_best_that_ships_and_the_best_of_all_are_told() -> None:
    found = asked(few())
    assert {name: one.entry.first.id for name, one in found.items()} == {
        SHIPPED: "0000000b",
        ALL: "0000000a",
    }
    shipped = found[SHIPPED].said
    assert shipped[:3] == ("rank 2", "90.0 % on clean images", "8 bits a weight, 16 kB")
    assert shipped[3].startswith("6.0 points below its float parent (−8.")


def test_one_that_is_both_is_told_once() -> None:
    rows = [shelf_row("0000000a", 0.3), shelf_row("0000000b", 0.4, compressor="ptq")]
    assert [*asked(rows)] == [BOTH]


def test_where_nothing_holds_that_is_the_answer() -> None:
    rows = [shelf_row("0000000a", 0.0, word="broken"), shelf_row("0000000b", 0.9, word="masked")]
    assert {name: one.entry.first.id for name, one in asked(rows).items()} == {NOTHING: "0000000a"}
    assert asked([shelf_row("0000000a", 0.5, under=None)]) == {}


def test_what_cannot_be_told_apart_is_not_called_a_loss() -> None:
    told = loss_text(Loss(-0.01, -0.03, 0.01, 1))
    assert told == "not told apart from its float parent (−1.0 points, −3.0 to +1.0)"
    told = loss_text(Loss(-0.1, -0.2, -0.05, 3))
    assert told == "10.0 points below its float parents, mean of 3 (−20.0 to −5.0)"


def test_of_equal_numbers_the_better_proof_comes_first() -> None:
    rows = [
        shelf_row("0000000a", 0.5, level="consistent"),
        shelf_row("0000000c", 0.5, level="verified"),
        shelf_row("0000000b", 0.5, level="verified", defense="mulaw"),
        shelf_row("0000000d", 0.6, level="consistent", defense="mulaw"),
    ]
    placed = sorted(entries(rows), key=lambda entry: entry.place)
    assert [entry.first.id[-1] for entry in placed] == ["d", "b", "c", "a"]
