"""One row, one number: the smallest thing known, whatever records come and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.core.record import CertificateAudit, share
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.threat import Threat, headline_threat
from robench.leaderboard.read.twins import settle
from robench.leaderboard.table.cells import Column
from robench.leaderboard.table.row import BoardRow, make_row
from robench.leaderboard.table.site import Group, Site, make_site
from robench.records.tables import write_columns
from tests.leaderboard.made import LABELS, claim, protocol

N = len(LABELS)
RADIUS = 0.5
NEAR, FAR, L2 = ("linf", 0.1), ("linf", 0.2), ("l2", 0.5)
CERTIFIED = protocol("c", norm="l2", headline_eps=None, headline_radius=RADIUS, alpha=0.001)
PROTOCOLS = (
    None,
    protocol("p"),
    protocol("p", 2),
    protocol("far", eps=0.2),
    protocol("l2", norm="l2", eps=0.5),
    CERTIFIED,
)
BROKEN = {"image": 3, "label": 3, "found": 0, "radius2": 9, "length2": 4, "votes": 9, "draws": 10}


def first(count: int) -> Any:
    return np.arange(N) < count


def audit_file(folder: Path, answers: Mapping[Any, Any], audits: Mapping[Any, Any]) -> None:
    """The table of audits: by threat, at which positions which images held."""
    parts = []
    for number, ((norm, eps), (at, held)) in enumerate(audits.items()):
        rows = [its for key, its in answers.items() if key[1:] == (norm, eps)]
        rows = np.logical_and.reduce([answers["clean"], *rows])[at]
        for position, right, stood in zip(at, rows, np.asarray(held)[at] & rows, strict=True):
            clean = bool(answers["clean"][position])
            parts.append((number, position, position, norm, eps, False, clean, right, stood))
    names = ("audit", "position", "image", "norm", "eps", "randomised", "clean", "rows", "held")
    columns = {
        name: np.array(its) for name, its in zip(names, zip(*parts, strict=True), strict=True)
    }
    write_columns(columns, folder / "audit.parquet")


def certificates_file(folder: Path, right: Any, radius2: int) -> None:
    prediction = np.where(right, LABELS, -1)
    columns = {
        "image": np.arange(N),
        "label": LABELS.astype(int),
        "prediction": prediction,
        "radius2": np.where(right, radius2, 0),
    }
    write_columns(columns, folder / "certificates.parquet")


def rows_of(claims: list[Claim]) -> list[BoardRow]:
    """Rows as the page makes them: protocols apart; of one system here, so that all merge."""
    ordered = sorted(claims, key=lambda one: _key(one))
    found = []
    for _, same in groupby(ordered, key=_key):
        for one in settle(list(same)):
            row_id = "".join(sorted(claim.content[:8] for claim in one.claims))
            found.append(make_row(row_id, one, [])[0])
    return found


def _key(one: Claim) -> str:
    return f"{one.protocol.name}@{one.protocol.version}" if one.protocol else ""


def cell(row: BoardRow, metric: str, *threat: Any) -> Any:
    """The cell of a metric under a threat."""
    for column, its in row.cells.items():
        if column.metric == metric and (not threat or _at(column) == threat):
            return its
    raise AssertionError(f"no {metric} {threat}")


def _at(column: Column) -> tuple[Any, Any]:
    return column.axis("norm"), column.axis("eps")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """New folders, so that records of one example find their own tables."""
    root = tmp_path_factory.mktemp("tables")
    numbers = iter(range(10**6))

    def folder() -> Path:
        path = root / str(next(numbers))
        path.mkdir()
        return path

    return folder  # type: ignore[return-value]


def made(
    folder: Path, answers: dict[Any, Any], audits: dict[Any, Any], under: Any, **given: Any
) -> Claim:
    """A claim with its audits: values and tables; `certified` are images right and certified."""
    certified, refuted = given.pop("certified", None), given.pop("refuted", False)
    plain = claim(answers, protocol=under)
    values = list(plain.record.values)
    said = []
    for (norm, eps), (at, held) in audits.items():
        rows = [its for key, its in answers.items() if key[1:] == (norm, eps)]
        right = np.logical_and.reduce([answers["clean"], *rows, held])[at]
        values.append(share("audited_accuracy", right.sum(), len(at), {"norm": norm, "eps": eps}))
        about = {"level": "quick", "n": len(at), "verdict": "pass"}
        said.append({"norm": norm, "eps": eps, **about})
    if given.pop("table", True) and audits:
        audit_file(folder, answers, audits)
    if certified is not None:
        certificates_file(folder, certified, round((RADIUS * 255) ** 2) + 1)
        values.append(share("certified_accuracy", sum(certified), N, {"radius": RADIUS}))
        given["certificates"] = CertificateAudit(
            certifier="x",
            alpha=0.001,
            certificates=N,
            attacked=9,
            allowed=0,
            broken=(BROKEN,) if refuted else (),  # type: ignore[arg-type]
            sentence="so",
        )
    return claim(answers, folder=folder, protocol=under, values=values, audit=said, **given)


bits = st.integers(0, 2**N - 1).map(lambda number: (number >> np.arange(N)) % 2 == 1)
PARTS = (np.arange(N), np.arange(0, N, 2))
"""All images, and those that an older audit looked at."""


@st.composite
def boards(draw: Any, at_most: int = 3) -> list[dict[str, Any]]:
    """Records of several protocols, norms and networks, with whole, old, lost or no audits."""
    clean, found = draw(bits), []
    for _ in range(draw(st.integers(1, at_most))):
        threats = draw(st.sets(st.sampled_from([NEAR, FAR, L2]), min_size=1))
        answers: dict[Any, Any] = {"clean": clean}
        for threat in sorted(threats):
            for attack in draw(st.sets(st.sampled_from(["pgd", "fgsm"]), min_size=1)):
                answers[attack, *threat] = draw(bits)
        kind = draw(st.sampled_from(["whole", "old", "lost", "none"]))
        at = PARTS[kind == "old"]
        audits = {} if kind == "none" else {t: (at, draw(bits)) for t in sorted(threats)}
        found.append(
            {
                "answers": answers,
                "audits": audits,
                "table": kind != "lost",
                "under": draw(st.sampled_from(PROTOCOLS)),
                "weights": draw(st.sampled_from(["a", "b", "c"])),
                "verified": draw(st.booleans()),
                "certified": draw(st.one_of(st.none(), bits)),
                "refuted": draw(st.booleans()),
                "name": draw(st.sampled_from(["aaaaaaaa", "bbbbbbbb"])),
            }
        )
    return found


def printed(site: Site) -> Any:
    return [(row, site.ranks[row.id]) for row in site.rows]


@settings(deadline=None, max_examples=25)
@given(boards())
def test_order_by_headline_is_the_printed_rank_and_no_order_of_records_matters(
    tables: Any, given: list[dict[str, Any]]
) -> None:
    claims = [made(tables(), **one) for one in given]
    site = make_site(rows_of(claims), [])
    for tab in site.tabs:
        for group in tab.groups:
            # One threat for all rows of a table, whatever they were attacked with.
            assert len({row.threat for row in group.rows}) == 1
            assert len({(row.key, row.radius) for row in group.rows}) == 1
        ranked = [row for row in tab.rows if site.ranks[row.id] is not None]
        if tab.protocol is None:
            assert ranked == []
        else:
            headline = tab.protocol.headline_eps
            assert headline is None or tab.groups[0].rows[0].threat == Threat(
                tab.protocol.norm, headline
            )
        order = [site.ranks[row.id] for row in ranked]
        assert order == sorted(order, key=lambda rank: rank or 0)
        means = [one.score for g in tab.groups for one in g.entries if site.ranks[one.first.id]]
        assert means == sorted(means, reverse=True)
        assert not any(row.proof.refuted for row in ranked if row.radius is not None)
        for group in tab.groups:
            _grouped(site, group)
    audits = [audit for one in given for audit in one["audits"].values()]
    whole = all(one["table"] for one in given) and all(len(at) == N for at, _ in audits)
    for row in site.rows:
        _never_above(row, whole)
    for again in (claims[::-1], claims[1:] + claims[:1]):
        assert printed(make_site(rows_of(again), [])) == printed(site)


def _grouped(site: Site, group: Group) -> None:
    """Each row is in one entry; a mean is of sound rows of one level, judged alike."""
    assert sorted(row.id for one in group.entries for row in one.rows) == sorted(
        row.id for row in group.rows
    )
    for entry in group.entries:
        assert len({site.ranks[row.id] for row in entry.rows}) == 1
        assert len({(row.recipe, row.proof.level, row.threat) for row in entry.rows}) == 1
        scores = [row.score for row in entry.rows]
        assert scores == sorted(scores, reverse=True)
        if len(scores) > 1:
            assert not any(row.proof.disputed for row in entry.rows)
            assert entry.headline.value == pytest.approx(sum(scores) / len(scores))
            assert (entry.headline.low, entry.headline.high) == (scores[-1], scores[0])


def _never_above(row: BoardRow, whole: bool) -> None:
    """A headline is below every number of its threat that speaks of all images."""
    known = {"worst_case_accuracy", "robust_accuracy"}
    # Without its table nobody knows which images an audit broke, and with an older one few.
    if whole:
        known.add("audited_accuracy")
    for column, its in row.cells.items():
        if column.metric in known:
            assert cell(row, "robust", *_at(column)).value <= its.value + 1e-12
    if row.threat and row.radius is None and row.right:
        assert cell(row, "robust", row.threat.norm, row.threat.eps).value == row.score
    if row.proof.refuted:
        assert not any("certif" in column.metric for column in row.cells)


# -- known answers ---------------------------------------------------------------------------------


def test_the_headline_is_what_rows_and_audit_leave_together(tables: Any) -> None:
    """30 stand the row, the audit breaks 10 others of them; the row overstates."""
    answers = {"clean": first(36), ("pgd", *NEAR): first(30)}
    audits = {NEAR: (PARTS[0], ~first(10))}
    (row,) = rows_of([made(tables(), answers, audits, protocol())])
    assert (row.score, row.subset, row.word) == (0.5, "", "holds")
    assert cell(row, "robust").word == "holds"
    weak = cell(row, "robust_accuracy")
    assert (weak.value, weak.word) == (0.75, "weak")
    assert weak.sentence == "weak attack: overstates by 25 points"
    assert cell(row, "worst_case_accuracy").sentence == "overstates by 25.0 points"
    assert cell(row, "audited_accuracy").word == ""


def test_an_audit_of_a_subset_says_so_and_how_much_it_took_there(tables: Any) -> None:
    answers = {"clean": first(40), ("pgd", *NEAR): first(40)}
    audits = {NEAR: (PARTS[1], ~first(10))}
    (row,) = rows_of([made(tables(), answers, audits, protocol())])
    assert row.score == 35 / 40
    assert row.notes == ("audited on 20 of 40 images",)
    # A fourth of those looked at fell; the other half is taken to be like them.
    assert (row.word, row.mark) == ("weak", "overstates by 12")
    assert cell(row, "robust").sentence.endswith(
        "of 20 of the 40 images the audit left 25.0 points fewer than the attacks"
    )


def test_nothing_that_holds_is_never_called_good(tables: Any) -> None:
    answers = {"clean": first(40), ("pgd", *NEAR): first(0)}
    (row,) = rows_of([made(tables(), answers, {NEAR: (PARTS[0], first(40))}, protocol())])
    assert (row.score, row.word) == (0.0, "broken")


@pytest.mark.parametrize(("count", "word"), [(0, "broken"), (1, "broken"), (25, "holds")])
def test_certificates_that_naming_one_class_matches_never_hold(
    tables: Any, count: int, word: str
) -> None:
    answers = {"clean": first(40), ("pgd", *L2): first(0)}
    (row,) = rows_of([made(tables(), answers, {}, CERTIFIED, certified=first(count))])
    assert (row.word, cell(row, "certified").word) == (word, word)


def test_an_attack_of_the_protocol_that_failed_takes_the_rank(tables: Any) -> None:
    answers: dict[Any, Any] = {
        "clean": first(40),
        ("fgsm", *NEAR): first(30),
        ("pgd", *FAR): first(30),
    }
    for threat, rank in ((NEAR, None), (FAR, 1)):
        at = {"access": "transfer", "norm": threat[0], "eps": threat[1]}
        tried = [
            {"attack": attack, "access": "white_box", "norm": norm, "eps": eps}
            for attack, norm, eps in list(answers)[1:]
        ]
        rows = [*tried, {"attack": "pgd", **at, "status": "invalid"}]
        one = claim(answers, folder=tables(), protocol=protocol(), rows=rows)
        site = make_site(rows_of([one]), [])
        assert list(site.ranks.values()) == [rank]
        assert (site.rows[0].word == "invalid") == (rank is None)


def test_a_plugins_tab_never_reads_like_another(tables: Any) -> None:
    answers: dict[Any, Any] = {"clean": first(40), ("pgd", *NEAR): first(30)}
    under = [
        protocol("p", title="t"),
        protocol("q", title="t", package="x"),
        protocol("r", title="t", package="x"),
    ]
    site = make_site(rows_of([claim(answers, folder=tables(), protocol=one) for one in under]), [])
    assert [tab.label for tab in site.tabs] == ["t 0.1", "t 0.1 · q@1 of x", "t 0.1 · r@1 of x"]
    assert [tab.label for tab in site.tabs] == [tab.groups[0].label for tab in site.tabs]


def test_certificates_rank_and_a_broken_one_takes_them_away(tables: Any) -> None:
    answers = {"clean": first(40), ("pgd", *L2): first(0)}
    (row,) = rows_of([made(tables(), answers, {}, CERTIFIED, certified=first(25))])
    assert (row.score, cell(row, "certified").value) == (25 / 40, 25 / 40)
    given: dict[str, Any] = {"certified": first(25), "refuted": True}
    site = make_site(rows_of([made(tables(), answers, {}, CERTIFIED, **given)]), [])
    (row,) = site.rows
    assert site.ranks == {row.id: None}
    assert row.notes == ("certificates refuted: image 3 broken inside the certified radius",)
    assert not any("certif" in column.metric for column in row.cells)


def test_open_runs_stand_with_those_of_their_data_and_threat(tables: Any) -> None:
    near = {"clean": first(40), ("pgd", *NEAR): first(20)}
    both = {**near, ("pgd", *FAR): first(10), ("pgd", *L2): first(0)}
    under: list[Any] = [protocol(), protocol("far", eps=0.2), None]
    claims = [made(tables(), both, {}, one, weights="a") for one in under]
    site = make_site(rows_of([*claims, made(tables(), near, {}, None, weights="b")]), [])
    assert [tab.key for tab in site.tabs] == ["far@1", "p@1", "open"]
    assert [[row.threat for row in tab.rows] for tab in site.tabs] == [
        [Threat(*FAR)],
        [Threat(*NEAR)],
        [Threat(*NEAR), Threat(*FAR)],
    ]
    assert [row.score for row in site.rows] == [0.25, 0.5, 0.5, 0.25]
    assert [group.label for group in site.tabs[-1].groups] == [
        "open runs, never ranked · x · L∞ ε = 0.1",
        "open runs, never ranked · x · L∞ ε = 0.2",
    ]


def test_an_open_runs_threat_is_the_largest_of_its_fullest_norm() -> None:
    known = [Threat(*one) for one in (L2, NEAR, FAR)]
    for order in permutations(known):
        assert headline_threat(None, order) == Threat(*FAR)
    assert headline_threat(None, known[:2]) == Threat(*NEAR)
    assert headline_threat(None, []) is None
