"""Rows that cannot be made together: who stays, and where addresses lead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from robench.base.errors import UserError
from robench.leaderboard.build import _other_names
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.twins import Settled, settle
from robench.leaderboard.table.row import BoardRow, make_row
from robench.leaderboard.write import gather
from tests.leaderboard.made import claim
from tests.leaderboard.test_twins import first


def made(name: str, count: int = 20, attack: str = "pgd", **more: Any) -> Claim:
    return claim({"clean": first(36), attack: first(count)}, name=name, **more)


def test_records_that_cannot_stand_together_remove_nobody_who_proves_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = made("ffffffff", weights="w", verified=True)
    forged = [made(f"0000000{n}", weights="w", attack=f"a{n}") for n in range(3)]

    def fussy(claims: Sequence[Claim]) -> list[Settled]:
        if len([one for one in claims if not one.verified]) > 1:
            raise UserError("expected strips of one height")
        return settle(claims)

    monkeypatch.setattr(gather, "settle", fussy)
    kept, left, lasting = gather._together([*forged, honest], set())
    assert kept[0]["rows"]["id"] == "ffffffff"
    assert len(kept) == 2
    assert lasting
    assert sorted(left.values()) == ["expected strips of one height"] * 2
    assert honest.content not in left


def test_who_cannot_be_made_alone_is_left_out_and_the_others_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, *good = (made(f"0000000{n}", weights=f"{n}") for n in range(3))

    def fussy(claims: Sequence[Claim]) -> list[Settled]:
        if bad in claims:
            raise ZeroDivisionError
        return settle(claims)

    monkeypatch.setattr(gather, "settle", fussy)
    monkeypatch.delenv("ROBENCH_DEBUG", raising=False)
    kept, left, lasting = gather._together([bad, *good], set())
    assert {one["rows"]["id"] for one in kept} == {one.id for one in good}
    assert set(left) == {bad.content}
    assert not lasting
    assert gather._together([bad], set())[0] == []


def board(claims: Sequence[Claim]) -> list[BoardRow]:
    """Rows under the ids that a page gives them."""
    settled, taken, found = settle(claims), set[str](), []
    for one in settled:
        taken.add(row_id := gather._free(one, settled, taken))
        found.append(make_row(row_id, one, [])[0])
    return found


def test_an_address_leads_to_no_other_network() -> None:
    one, other = made("aaaaaaaa", weights="a"), made("aaaaaaaa", 36, weights="b")
    rows = board([one, other])
    assert sorted(row.id for row in rows) == ["aaaaaaaaa", "aaaaaaaab"]
    assert _other_names(rows) == {}
    # Of two records of one network the second's leads to the row of both.
    more = made("bbbbbbbb", attack="fgsm", weights="a")
    rows = board([one, more])
    assert _other_names(rows) == {"bbbbbbbb": "aaaaaaaa"}


def test_who_is_set_aside_takes_no_address() -> None:
    victim = [made("cccccccc", weights="c"), made("dddddddd", attack="fgsm", weights="c")]
    proven = made("00000000", weights="a", verified=True)
    aside = made("dddddddd", weights="a")
    rows = [*board(victim), *board([proven, aside])]
    assert [one.id for row in rows for one in row.proof.aside] == ["dddddddd"]
    assert _other_names(rows) == {"dddddddd": "cccccccc"}


def test_a_row_of_unknown_weights_takes_no_address_that_another_claims() -> None:
    known, unknown = made("aaaaaaaa", weights="a"), made("aaaaaaaa", 36)
    rows = board([known, unknown])
    assert len(rows) == 2
    assert all(row.id.startswith("aaaaaaaa") and row.id != "aaaaaaaa" for row in rows)


def test_the_second_address_of_a_verified_row_stays_its_own() -> None:
    genuine = [
        made("cccccccc", weights="c", verified=True),
        made("dddddddd", attack="fgsm", weights="c", verified=True),
    ]
    forged = made("dddddddd", 36, weights="f")
    rows = board([*genuine, forged])
    assert {row.id for row in rows} == {"cccccccc", "ddddddddf"}
    assert _other_names(rows) == {"dddddddd": "cccccccc"}
