"""Twins of a record: no clock, folder or order decides, and nobody raises or deletes a row."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robench.core.outcomes import Outcomes
from robench.core.record import FileInfo, Value
from robench.leaderboard.read.claims import Claim
from robench.leaderboard.read.facts import Facts
from robench.leaderboard.read.merge import families, network, system
from robench.leaderboard.read.twins import Settled, settle
from robench.leaderboard.table.proof import prove
from robench.leaderboard.table.row import BoardRow, make_row
from robench.leaderboard.table.site import make_site
from robench.leaderboard.write.gather import strangers
from robench.records.tables import write_columns
from tests.leaderboard.made import claim, protocol

N = 40


def first(count: int) -> Any:
    return np.arange(N) < count


def rows(claims: list[Claim]) -> list[BoardRow]:
    return [make_row(one.claims[0].id, one, [])[0] for one in settle(claims)]


def cell(row: BoardRow, metric: str) -> float:
    return next(v.value or 0.0 for c, v in row.cells.items() if c.metric == metric)


def plain(**more: Any) -> Claim:
    return claim({"clean": first(36), "pgd": first(20)}, **more)


def better(**more: Any) -> Claim:
    return claim({"clean": first(36), "pgd": first(36)}, name="00000000", **more)


def test_a_clock_decides_nothing() -> None:
    newer = better(timings={"finished": 9e9})
    (row,) = rows([plain(timings={"finished": 1.0}), newer])
    assert cell(row, "worst_case_accuracy") == 0.5
    assert row.proof.disputed
    assert not row.proof.ranked


def test_the_same_record_twice_is_one() -> None:
    (row,) = rows([plain(), plain()])
    assert row.members == ("aaaaaaaa",)
    assert not row.proof.disputed


def test_each_replicate_is_a_row_and_all_are_one_entry() -> None:
    under: Any = {"protocol": protocol()}
    site = make_site(rows([plain(weights="a", **under), better(weights="b", **under)]), [])
    assert [cell(row, "worst_case_accuracy") for row in site.rows] == [0.9, 0.5]
    assert [site.ranks[row.id] for row in site.rows] == [1, 1]
    (entry,) = site.tabs[0].groups[0].entries
    assert (entry.score, entry.headline.low, entry.headline.high) == (0.7, 0.5, 0.9)


def test_replicates_of_other_attacks_stay_apart() -> None:
    other = claim({"clean": first(30), "fgsm": first(25)}, name="bbbbbbbb", weights="b")
    assert sorted(row.attacks for row in rows([plain(weights="a"), other])) == [("fgsm",), ("pgd",)]


def test_the_record_that_verifies_stays_and_the_other_is_named() -> None:
    genuine = plain(weights="a", verified=True)
    for twin in (better(weights="a"), better(), claim({"clean": first(0), "pgd": first(0)})):
        (row,) = rows([twin, genuine])
        assert cell(row, "worst_case_accuracy") == 0.5
        assert row.proof.level == "verified"
        assert not row.proof.disputed
        assert [one.id for one in row.proof.aside] == [twin.id]


def test_a_replicate_that_does_not_verify_moves_no_row_that_does() -> None:
    worse = claim({"clean": first(10), "pgd": first(0)}, name="00000000", weights="b")
    proven, other = rows([plain(weights="a", verified=True), worse])
    assert (cell(proven, "worst_case_accuracy"), proven.proof.level) == (0.5, "verified")
    assert (cell(other, "worst_case_accuracy"), other.proof.level) == (0.0, "consistent")


def test_a_replicate_that_verifies_moves_no_other() -> None:
    worse = claim(
        {"clean": first(10), "pgd": first(0)}, name="00000000", weights="b", verified=True
    )
    genuine = plain(weights="a", verified=True)
    (alone,) = rows([genuine])
    assert alone in rows([genuine, worse])


def test_two_that_verify_and_disagree_are_disputed() -> None:
    (row,) = rows([plain(weights="a", verified=True), better(weights="a", verified=True)])
    assert row.proof.disputed
    assert cell(row, "worst_case_accuracy") == 0.5


def test_a_time_is_no_answer() -> None:
    slow, quick = (plain(name=name) for name in ("aaaaaaaa", "bbbbbbbb"))
    latency = {"metric": "latency", "unit": "s", "better": "lower"}
    claims = []
    for one, seconds in ((slow, 2.0), (quick, 1.0)):
        values = [*one.record.model_dump()["values"], {**latency, "value": seconds}]
        claims.append(plain(name=one.id, values=values))
    (row,) = rows(claims)
    assert not row.proof.disputed
    assert cell(row, "latency") == 2.0


def test_records_that_agree_add_their_attacks() -> None:
    more = claim({"clean": first(36), "fgsm": first(10)}, name="bbbbbbbb")
    (row,) = rows([plain(), more])
    assert set(row.attacks) == {"pgd", "fgsm"}
    assert cell(row, "worst_case_accuracy") == 0.25


def test_what_does_not_follow_moves_nothing_that_does() -> None:
    for attack, weights in (("pgd", "w"), ("fgsm", "w"), ("fgsm", None)):
        more = claim({"clean": first(36), attack: first(10)}, name="00000000", weights=weights)
        told = replace(more, taken=replace(more.taken, unfounded=("no table",)))
        (row,) = rows([plain(weights="w"), told])
        assert (row.attacks, row.proof.level, row.proof.unfounded) == (("pgd",), "consistent", ())
        assert not row.proof.disputed
        assert [one.id for one in row.proof.aside] == ["00000000"]


def test_a_record_without_a_model_adds_no_attack_to_a_network() -> None:
    honest = plain(weights="w")
    more = claim({"clean": first(36), "fgsm": first(0)}, name="00000000")
    found = {row.members: row for row in rows([honest, more])}
    assert cell(found["aaaaaaaa",], "worst_case_accuracy") == 0.5
    assert cell(found["00000000",], "worst_case_accuracy") == 0.0
    assert not any(row.proof.disputed for row in found.values())
    # What it says of the same attack is still held against the network's own.
    found = {row.members: row for row in rows([honest, better()])}
    assert len(found) == 2
    assert all(row.proof.disputed for row in found.values())


def test_under_a_protocol_no_reported_record_takes_the_rank_of_its_network() -> None:
    sound: dict[str, Any] = {"protocol": protocol(), "weights": "a"}
    genuine = plain(**sound)
    for twin in (better(**sound), better(**{**sound, "weights": None})):
        told = replace(twin, taken=replace(twin.taken, unfounded=("x",)))
        (row,) = rows([told, genuine])
        assert (row.proof.level, row.proof.disputed, row.members) == (
            "consistent",
            False,
            ("aaaaaaaa",),
        )
        (aside,) = row.proof.aside
        why = "not all of it follows from what it stored, as all of aaaaaaaa does"
        assert (aside.id, aside.reason) == ("00000000", why)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([{"seed": 0}, {"seed": 1}, {"seed": 2}], {"a0"}),
        # What is verified stands before what is lower, and this before what only comes first.
        ([{"seed": 0}, {"seed": 1, "verified": True}], {"a1"}),
        ([{"seed": 0, "count": 25}, {"seed": 1}], {"a1"}),
        ([{"seed": 0, "weights": "b"}, {"seed": 1}], {"a0", "a1"}),
        ([{"seed": 0, "protocol": None}, {"seed": 1, "protocol": None}], {"a0, a1"}),
    ],
)
def test_one_network_under_several_seeds_is_one_row(
    given: list[dict[str, Any]], kept: set[str]
) -> None:
    claims = []
    for one in given:
        about: dict[str, Any] = {"protocol": protocol(), "weights": "w", **one}
        answers = {"clean": first(36), "pgd": first(about.pop("count", 20))}
        claims.append(claim(answers, name=f"a{one['seed']}", **about))
    for order in permutations(claims):
        found = rows(list(order))
        assert {", ".join(row.members) for row in found} == kept
        if len(found) == 1 and found[0].protocol:
            why = f"its network is that of {found[0].members[0]} under another seed"
            assert {aside.reason for aside in found[0].proof.aside} == {why}
            assert len(found[0].proof.aside) == len(claims) - 1


@pytest.mark.parametrize(
    ("asked", "other"), [({"seed": 1}, "seed"), ({"train": {"epochs": 9}}, "training")]
)
def test_who_names_another_seed_or_training_takes_no_place(
    asked: dict[str, Any], other: str
) -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}

    def twin(count: int) -> Claim:
        forged = claim({"clean": first(36), "pgd": first(count)}, name="00000000", **under)
        config = {**forged.record.config, "train": asked.get("train")}
        record = forged.record.model_copy(update={"config": config, "seed": asked.get("seed", 0)})
        return replace(forged, taken=replace(forged.taken, record=record))

    honest = plain(**under)
    for count in (20 - 8, 20 + 8):
        (row,) = rows([honest, twin(count)])
        assert (row.proof.disputed, row.proof.ranked, row.proof.aside) == (True, False, ())
        assert set(row.members) == {"aaaaaaaa", "00000000"}
        (row,) = rows([plain(verified=True, **under), twin(count)])
        assert (row.members, row.proof.disputed) == (("aaaaaaaa",), False)
    # Of seven images, all for the one, chance gives as many once in 64 times; of eight in 128.
    (row,) = rows([honest, twin(20 + 7)])
    (aside,) = row.proof.aside
    assert (row.members, row.proof.disputed) == (("aaaaaaaa",), False)
    assert aside.reason == f"its network is that of aaaaaaaa under another {other}"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("said", [{"bits": 4}, {"size": 1.0}])
def test_what_a_network_is_cannot_be_said_otherwise_by_a_copy(
    said: dict[str, Any], seed: int
) -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}

    def sized(size: float, **more: Any) -> Claim:
        values = plain().record.model_dump()["values"]
        size_of = {"metric": "size", "unit": "bytes", "better": "lower", "value": size}
        return plain(values=[*values, size_of], **under, **more)

    copy = sized(said.get("size", 1000.0), bits=said.get("bits", 32), name="00000000", seed=seed)
    (row,) = rows([sized(1000.0, bits=32), copy])
    assert (row.proof.disputed, row.proof.ranked) == (True, False)


def test_the_networks_of_records_of_two_seeds_are_one_family() -> None:
    alike = [claim({"clean": first(9), "pgd": first(0)}, seed=seed).record for seed in (0, 1)]
    assert len({system(one) for one in alike}) == 2
    assert len({network(one, "w") for one in alike}) == 1
    assert network(alike[0], "v") != network(alike[0], "w")
    assert [network(one, None) for one in alike] == ["", ""]
    both = families((one, [system(one), network(one, "w")]) for one in alike)
    assert both == [alike]


def test_what_is_not_verified_adds_no_attack_to_what_is() -> None:
    more = claim({"clean": first(36), "fgsm": first(0)}, name="bbbbbbbb")
    found = {row.attacks: row for row in rows([more, plain(verified=True)])}
    assert cell(found["pgd",], "worst_case_accuracy") == 0.5
    assert found["pgd",].proof.level == "verified"
    assert found["fgsm",].proof.level == "consistent"


def test_of_two_audits_the_worse_stands() -> None:
    failed, passed = (plain(audited=(8, "fail")), plain(name="00000000", audited=(8, "pass")))
    (both,) = rows([failed, passed])
    assert [audit.verdict for audit in settle([failed, passed])[0].record.audit] == ["fail"]
    # Nor does what no table supports pass.
    assert both.word == "masked"
    (row,) = rows([plain(audited=(8, "pass")), plain(name="00000000", audited=(20, "pass"))])
    assert row.proof.disputed
    assert cell(row, "audited_accuracy") == 0.4


def test_an_audit_without_its_table_is_not_done() -> None:
    (row,) = rows([plain(audited=(10, "pass"))])
    assert (row.word, row.proof.audit_missing) == ("not_audited", True)
    assert {c.word for c in row.cells.values()} <= {"", "not_audited"}


bits = st.integers(0, 2**N - 1).map(lambda number: (number >> np.arange(N)) % 2 == 1)
weights = st.sampled_from([None, "a", "b"])
names = st.sampled_from(["00000000", "aaaaaaaa", "ffffffff"])


@st.composite
def claims(draw: Any, verified: bool | None = None, at_most: int = 3) -> list[Claim]:
    """Records of one system, some of which agree on their clean answers."""
    clean = [draw(bits), draw(bits)]
    pool = {"pgd": [draw(bits), draw(bits)], "fgsm": [draw(bits), draw(bits)]}
    found = []
    for _ in range(draw(st.integers(1, at_most))):
        attacks = draw(st.sets(st.sampled_from(["pgd", "fgsm"]), min_size=1))
        answers = {"clean": draw(st.sampled_from(clean))}
        answers |= {name: draw(st.sampled_from(pool[name])) for name in sorted(attacks)}
        proven = draw(st.booleans()) if verified is None else verified
        found.append(claim(answers, name=draw(names), weights=draw(weights), verified=proven))
    return found


def shown(settled: list[Settled]) -> list[Any]:
    return sorted(repr((one.record, one.level, prove(one))) for one in settled)


@settings(deadline=None, max_examples=40)
@given(claims())
def test_any_order_gives_the_same_rows(given: list[Claim]) -> None:
    wanted = shown(settle(given))
    assert all(shown(settle(list(order))) == wanted for order in permutations(given))


@settings(deadline=None, max_examples=80)
@given(claims(), claims(verified=False, at_most=1))
def test_a_forged_twin_raises_moves_and_removes_nothing(
    genuine: list[Claim], forged: list[Claim]
) -> None:
    before, after = rows(genuine), rows([*genuine, *forged])
    named = {
        one
        for row in after
        for one in (
            *row.contents,
            *(aside.content for aside in row.proof.aside),
        )
    }
    assert {one.content for one in genuine} <= named
    for row in before:
        same = [one for one in after if set(one.contents) >= set(row.contents)]
        assert same, "the row is gone"
        if row.proof.level == "verified":
            assert any(
                (one.cells, one.right, one.contents, one.proof.ranked)
                == (row.cells, row.right, row.contents, row.proof.ranked)
                for one in same
            )
        for metric in ("clean_accuracy", "worst_case_accuracy"):
            assert min(cell(one, metric) for one in same) <= cell(row, metric) + 1e-12
        assert any(one.score <= row.score for one in same)


def of(one: Claim, weights: str) -> Claim:
    return replace(one, weights=weights, content=f"{one.content}{weights}")


def numbers(settled: list[Settled]) -> list[Any]:
    return [(one.claims, one.record, one.level, one.disputed, one.aside) for one in settled]


@settings(deadline=None, max_examples=40)
@given(claims(), claims(at_most=1))
def test_a_replicate_moves_no_row_of_another_network(
    genuine: list[Claim], more: list[Claim]
) -> None:
    known = [of(one, one.weights or "a") for one in genuine]
    replicate = of(more[0], "c")
    before, after = numbers(settle(known)), numbers(settle([*known, replicate]))
    assert all(row in after for row in before)
    assert [one for one in after if one not in before] == numbers(settle([replicate]))


def apart(one: Claim, weights: str) -> Claim:
    record = one.record.model_copy(update={"id": weights * 8})
    return replace(of(one, weights), taken=replace(one.taken, record=record))


@settings(deadline=None, max_examples=40)
@given(claims(verified=False), claims(verified=False))
def test_networks_that_stand_apart_settle_as_they_do_together(
    first: list[Claim], second: list[Claim]
) -> None:
    group = [*(apart(one, "a") for one in first), *(apart(one, "b") for one in second)]
    known = {one.content: one for one in group}
    parts = strangers([rows([one])[0] for one in known.values()])
    assert len(parts) == 2
    each = [settle([known[row.contents[0]] for row in part]) for part in parts]
    assert shown([one for its in each for one in its]) == shown(settle(group))


def test_networks_that_share_an_id_or_have_one_that_verifies_do_not_stand_apart() -> None:
    a, b = apart(plain(), "a"), apart(plain(), "b")
    proven = replace(b, attestation=plain(verified=True).attestation)
    unknown = replace(b, weights=None)
    for other in (replace(b, taken=a.taken), proven, unknown):
        assert strangers([rows([one])[0] for one in (a, other)]) == []


def said(one: Claim, **changed: Any) -> Claim:
    """The same record with other parts, under another digest of its files."""
    record = one.record.model_copy(update=changed)
    return replace(one, content=f"{one.content}'", taken=replace(one.taken, record=record))


def by_votes(value: float) -> Value:
    axes: dict[str, Any] = {"radius": 0.5, "certifier": "sequential"}
    return Value(metric="certified_accuracy", value=value, n=40, axes=axes)


def test_other_certificates_dispute_a_row() -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}
    honest = plain(**under)
    honest = said(honest, values=(*honest.record.values, by_votes(0.5)))
    for value in (0.25, 0.75):
        copy = said(honest, values=(*honest.record.values[:-1], by_votes(value)))
        (row,) = rows([honest, copy])
        assert (row.proof.disputed, row.proof.ranked) == (True, False)
        proven = replace(honest, attestation=plain(verified=True).attestation)
        (row,) = rows([proven, copy])
        assert [one.reason for one in row.proof.aside] == [
            "it contradicts the record that verifies"
        ]
        assert cell(row, "certified_accuracy") == 0.5


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("verdict", ["fail", "suspect"])
def test_another_verdict_disputes_a_row(verdict: str, seed: int) -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}
    honest = plain(audited=(10, "pass"), **under)
    copy = plain(audited=(10, verdict), name="00000000", seed=seed, **under)
    (row,) = rows([honest, copy])
    assert (row.proof.disputed, row.proof.aside) == (True, ())


def test_other_costs_of_the_same_search_dispute_a_row() -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}

    def spent(gradients: float) -> Claim:
        one = plain(**under)
        counted = [
            row.model_copy(update={"gradients": gradients, "queries": gradients})
            for row in one.record.rows
        ]
        return said(one, rows=tuple(counted))

    (row,) = rows([spent(40.0), replace(spent(20.0), content="c")])
    assert row.proof.disputed
    (row,) = rows([spent(40.0), replace(spent(40.0), content="c")])
    assert not row.proof.disputed


def test_under_a_protocol_what_verifies_speaks_for_its_network() -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}
    values = plain().record.model_dump()["values"]
    boast = {"metric": "speedup", "unit": "", "better": "higher", "value": 900.0}
    more = plain(values=[*values, boast], name="00000000", **under)
    (row,) = rows([plain(verified=True, **under), more])
    assert (row.members, row.proof.level) == (("aaaaaaaa",), "verified")
    assert [one.reason for one in row.proof.aside] == [
        "under a protocol the record that verifies speaks for its network"
    ]


@pytest.mark.parametrize("asked", [{"seed": 1}, {"train": {"epochs": 1}}])
def test_one_trained_network_has_one_seed_and_training(asked: dict[str, Any]) -> None:
    """Bits that a training gave, another training does not give: one of the records is wrong."""

    def of(model: str, name: str, **other: Any) -> Claim:
        one = plain(name=name, protocol=protocol(), weights="w")
        components = {f"model.{model}": "robench 0.1.0 / 1"}
        made = one.record.provenance.model_copy(update={"components": components})
        config = {**one.record.config, "model": {model: {}}, "train": other.get("train", {})}
        return said(one, config=config, provenance=made, seed=other.get("seed", 0))

    (row,) = rows([of("small_cnn", "aaaaaaaa"), of("small_cnn", "00000000", **asked)])
    assert (row.proof.disputed, row.proof.ranked) == (True, False)
    # What nothing trained may be judged under several seeds.
    (row,) = rows([of("file", "aaaaaaaa"), of("file", "00000000", **asked)])
    assert (row.proof.disputed, len(row.proof.aside)) == (False, 1)


def test_other_norms_of_the_same_weights_dispute_a_row() -> None:
    def weighed(norm: float, content: str) -> Claim:
        axes: dict[str, Any] = {"layer": "conv", "p": 2}
        value = Value(metric="weight_perturbation", value=norm, axes=axes)
        honest = plain(weights="w")
        return replace(said(honest, values=(*honest.record.values, value)), content=content)

    for norm, disputed in ((2.8, False), (2.8001, False), (0.001, True), (2.9, True)):
        (row,) = rows([weighed(2.8, "a"), weighed(norm, "b")])
        assert row.proof.disputed == disputed


def test_costs_are_held_against_others_of_the_same_attack_in_any_release() -> None:
    def spent(gradients: float, attack: str) -> Claim:
        one = plain(weights="w")
        counted = [
            row.model_copy(update={"gradients": gradients, "queries": gradients})
            for row in one.record.rows
        ]
        made = one.record.provenance.model_copy(update={"components": {"attack.pgd": attack}})
        return replace(said(one, rows=tuple(counted), provenance=made), content=attack)

    for other, disputed in (("robench 0.1.00 / 3", True), ("robench 0.1.0 / 4", False)):
        (row,) = rows([spent(40.0, "robench 0.1.0 / 3"), spent(1e12, other)])
        assert row.proof.disputed == disputed


def test_many_copies_cost_what_they_hold() -> None:
    """Each record is looked at once, not beside each other one."""
    honest, seen = plain(weights="w"), []

    class Counted(Facts):
        def _votes(self) -> Any:
            seen.append(1)
            return super()._votes()

    claims = [replace(honest, content=f"{number:04}") for number in range(60)]
    for one in claims:
        vars(one)["facts"] = Counted(one.record, one.outcomes, one.folder, one.protocol)
    (row,) = rows(claims)
    assert not row.proof.disputed
    assert len(seen) == len(claims)


def test_other_labels_are_other_answers() -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}
    honest = plain(**under)
    rows_of = [replace(row, label=(row.label + 1) % 4) for row in honest.outcomes.rows]
    taken = replace(honest.taken, outcomes=Outcomes(tuple(rows_of)))
    (row,) = rows([honest, replace(honest, taken=taken, content="c")])
    assert (row.proof.disputed, row.proof.ranked) == (True, False)
    (row,) = rows([honest, said(honest, status="at_chance")])
    assert (row.proof.disputed, row.proof.ranked) == (True, False)


@pytest.mark.parametrize("level", ["quick", "full"])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_audit_that_leaves_surely_less_disputes_a_row(
    seed: int, level: str, tmp_path: Path
) -> None:
    under: dict[str, Any] = {"protocol": protocol(), "weights": "w"}

    def audited(name: str, held: int, **more: Any) -> Claim:
        folder = tmp_path / name
        folder.mkdir()
        images, right = np.arange(20), np.ones(20, bool)
        columns = {
            **dict.fromkeys(("position", "image"), images),
            **dict.fromkeys(("clean", "rows"), right),
            "audit": np.zeros(20, np.int64),
            "randomised": ~right,
            "held": images < held,
            "norm": np.full(20, "linf", object),
            "eps": np.full(20, 0.1),
        }
        write_columns(columns, folder / "audit.parquet")
        one = plain(audited=(held, "pass"), name=name, folder=folder, **under, **more)
        # The same number in both: what the table says must be enough.
        values = [value for value in one.record.values if value.metric != "audited_accuracy"]
        return said(one, values=tuple(values))

    honest = audited("aaaaaaaa", 18)
    fallen = audited("00000000", 0, seed=seed)
    longer = tuple(one.model_copy(update={"level": level}) for one in fallen.record.audit)
    (row,) = rows([honest, said(fallen, audit=longer)])
    assert (row.proof.disputed, row.proof.ranked) == (True, False)
    near = audited("bbbbbbbb", 17, seed=seed)
    (row,) = rows([honest, near])
    assert not row.proof.disputed


@pytest.mark.parametrize("changed", [{"runtime": "evil"}, {"parent": "b" * 64}, {"bytes": 1}])
def test_another_account_of_the_same_file_disputes_a_row(changed: dict[str, Any]) -> None:
    file = FileInfo(format="onnx", sha256="a" * 64, bytes=9, runtime="onnxruntime", version="1")
    honest = said(plain(weights="w"), file=file)
    (row,) = rows([honest, said(honest, file=file.model_copy(update=changed))])
    assert row.proof.disputed
    (row,) = rows([honest, said(honest, file=file.model_copy(update={"version": "2"}))])
    assert not row.proof.disputed


def test_another_maker_of_the_same_model_disputes_a_row() -> None:
    def by(maker: str) -> Claim:
        one = plain(weights="w")
        made = one.record.provenance.model_copy(update={"components": {"model.x": maker}})
        return replace(said(one, provenance=made), content=maker)

    for other, disputed in (("robench 0.2.0 / 1", False), ("evil 1.0 / 9", True)):
        (row,) = rows([by("robench 0.1.0 / 1"), by(other)])
        assert row.proof.disputed == disputed


def test_what_keeps_no_model_takes_no_place_of_what_does() -> None:
    reported = plain(weights="w")
    reported = replace(reported, taken=replace(reported.taken, unfounded=("no table",)))
    sound = claim({"clean": first(36), "fgsm": first(0)}, name="00000000")
    found = {row.members: row for row in rows([reported, sound])}
    assert cell(found["aaaaaaaa",], "worst_case_accuracy") == 0.5
    assert found["aaaaaaaa",].proof.level == "reported"
