"""What a row proves, as the page shows it: levels, challenges, and records that fail alone."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.base.text import HIDDEN
from robench.base.turns import at_once
from robench.cli.main import main
from robench.collection.known import look
from robench.leaderboard.build import build
from robench.leaderboard.read import claims
from robench.leaderboard.read.challenged import breaks, challenged
from robench.leaderboard.read.twins import settle
from robench.leaderboard.table.proof import broken_by
from robench.leaderboard.table.row import make_row
from robench.leaderboard.write import collect, gather
from robench.records import store as results
from robench.records import trust
from robench.records.challenges import Challenge, examples_file, write_challenge
from robench.records.store import artefact
from robench.records.trust import (
    Attestation,
    Step,
    content,
    read_attestations,
    write_attestation,
)
from tests.leaderboard.made import claim
from tests.leaderboard.pages import data, document, rows, texts
from tests.leaderboard.test_build import files

STEPS = tuple(
    Step(name="model", outcome="pass", text="60 of 60 answers are those recorded")
    if name == "model"
    else Step(name=name, outcome="not done", text="<b>no time</b>", needed=False)
    if name == "certificates"
    else Step(name=name, outcome="pass")
    for name in trust.STEPS
)


def attest(
    folder: Path, where: Path, steps: tuple[Step, ...] = STEPS, machine: str = "riscv"
) -> str:
    record = results.read(folder).id
    write_attestation(
        Attestation(
            record=record,
            content=content(folder),
            date="2026-11-21",
            robench="9.9",
            torch="2.9",
            machine=machine,
            steps=steps,
        ),
        where,
    )
    return record


@pytest.fixture
def copy(records: Path, tmp_path: Path) -> Path:
    shutil.copytree(records, tmp_path / "here" / "records")
    return tmp_path / "here" / "records"


def folder_with(rows: int, root: Path) -> Path:
    return next(f for f in results.folders(root) if len(results.read(f).rows) == rows)


def test_an_attestation_marks_its_row_everywhere(copy: Path, tmp_path: Path) -> None:
    folder = folder_with(4, copy)
    name = attest(folder, copy.parent / "verified")
    site = build([copy], tmp_path / "page", copy.parent / "verified")
    marked = {row.id: row.proof.level for row in site.rows if row.proof.level != "consistent"}
    assert marked == {name: "verified"}
    found = document(tmp_path / "page", name)
    (told,) = found["proof"]["attestations"]
    for words in ("2026-11-21", "9.9", "riscv", "60 of 60 answers", "<b>no time"):
        assert words in texts(told)
    assert "certificates" in [step for outcome, step, _ in told["steps"] if outcome == "not done"]
    assert (told["verified"], found["level"]) == (True, "verified")
    assert found["proof"]["members"] == [name]
    assert rows(tmp_path / "page")[name]["level"] == "verified"
    values = pd.read_parquet(tmp_path / "page/data/values.parquet")
    assert set(values[values.record == name].level) == {"verified"}
    assert set(values[values.record != name].level) == {"consistent"}


def test_an_attestation_speaks_of_these_files_alone(copy: Path, tmp_path: Path) -> None:
    folder = folder_with(4, copy)
    attest(folder, copy.parent / "verified")
    # Nor does one that lies inside the record, where its author can write.
    attest(folder, folder / "verified")
    (folder / "notes.txt").write_text("one more file")
    site = build([copy], tmp_path / "page", copy.parent / "verified")
    assert "verified" not in {row.proof.level for row in site.rows}


def test_attestations_count_from_a_named_folder_alone(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sends records may lay a folder beside them."""
    attest(folder_with(4, copy), copy.parent / "verified")
    command = ["leaderboard", str(copy), "--out", str(tmp_path / "page")]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "no --verified folder given: nothing counts as verified" in said
    assert "0 verified" in said
    assert main([*command, "--verified", str(copy.parent / "verified")]) == 0
    said = capsys.readouterr().out
    assert "nothing counts" not in said
    assert "1 verified" in said


def _shown_nowhere(page: Path) -> None:
    for path in page.rglob("*"):
        if path.suffix in {".html", ".js", ".csv", ".json"} and "vendor" not in path.parts:
            text = path.read_text("utf-8")
            told = texts(data(page, path.stem)) if path.parent.name == "data" else text
            assert not {"\x1b", "\u202e"} & {*text, *told}, path
            assert "\\n<script" not in text


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\u202eb"])
def test_no_text_of_a_verification_hides_characters(text: str, copy: Path, tmp_path: Path) -> None:
    folder = folder_with(4, copy)
    steps = (*STEPS, Step(name=f"step {text}", outcome="not done", text=text, needed=False))
    name = attest(folder, tmp_path / "verified", steps, machine=text)
    build([copy], tmp_path / "page", tmp_path / "verified")
    _shown_nowhere(tmp_path / "page")
    page = texts(document(tmp_path / "page", name))
    assert f"\\u{ord(text[1]):04x}" in page


def test_names_that_are_no_text_cost_their_records_alone(copy: Path, tmp_path: Path) -> None:
    for source, name in ((4, b"bad\xff"), (4, b"esc\x1b")):
        shutil.copytree(folder_with(source, copy), os.fsdecode(os.fsencode(copy) + b"/" + name))
    shutil.copytree(folder_with(4, copy), copy / "fine")
    (Path(os.fsdecode(os.fsencode(copy / "fine") + b"/n\xff.npz"))).write_bytes(b"")
    (copy / "sub").mkdir()
    empty = os.fsdecode(os.fsencode(copy / "sub") + b"/\xff")
    Path(empty).mkdir()
    (Path(empty) / "record.json").write_text("{}")
    site = build([copy], tmp_path / "page")
    assert len(site.rows) == 4
    assert {one.name for one in site.refused} == {
        "bad\\udcff", "esc\\u001b", "fine", "sub/\\udcff",
    }  # fmt: skip
    assert "bad\\udcff" in (tmp_path / "page/index.html").read_text("utf-8")


def test_no_mean_mixes_replicates_that_verify_with_others(copy: Path, tmp_path: Path) -> None:
    genuine = folder_with(4, copy)
    name = attest(genuine, tmp_path / "verified")
    (alone,) = (r for r in build([copy], tmp_path / "before").rows if r.id == name)
    twin = copy / "0000_dup"
    shutil.copytree(genuine, twin)
    weights = artefact(twin)
    assert weights
    weights.write_bytes(weights.read_bytes() + b"another network")
    forged = json.loads((twin / results.RECORD).read_text())
    forged["files"][weights.name] = file_hash(weights)
    (twin / results.RECORD).write_text(json.dumps(forged))
    site = build([copy], tmp_path / "page", tmp_path / "verified")
    built = {row.id: row for row in site.rows}
    assert [one.reason for one in site.refused] == []
    assert built[name].folders == (genuine,)
    assert (built[name].right, built[name].protocol) == (alone.right, alone.protocol)
    other = name + file_hash(weights)[:16]
    assert built[other].folders == (twin,)
    assert all(len(entry.rows) == 1 for _, group in site.groups for entry in group.entries)


def test_a_verification_that_failed_is_told_and_marks_nothing(copy: Path, tmp_path: Path) -> None:
    failed = (Step(name="model", outcome="fail", text="3 answers differ"),)
    name = attest(folder_with(4, copy), tmp_path / "elsewhere", failed)
    command = ["leaderboard", str(copy), "--out", str(tmp_path / "page")]
    assert main([*command, "--verified", str(tmp_path / "elsewhere")]) == 0
    found = document(tmp_path / "page", name)
    (told,) = found["proof"]["attestations"]
    assert (told["verified"], found["level"]) == (False, "reported")
    assert ["fail", "model", "3 answers differ"] in told["steps"]
    said = "a verification found its record false: model, 3 answers differ"
    assert found["believe"] == f"Do not believe it: {said}."
    assert "refuted by a verification" in rows(tmp_path / "page")[name]["notes"]


def test_of_several_verifications_the_last_counts_and_of_a_day_the_worse(tmp_path: Path) -> None:
    def kept(*given: tuple[str, str, str]) -> bool:
        folder = tmp_path / uuid4().hex
        for name, date, outcome in given:
            steps = tuple(Step(name=one, outcome=outcome) for one in trust.STEPS)
            about = dict.fromkeys(("robench", "torch", "machine"), "x")
            one = Attestation(record="a", content="0" * 64, date=date, steps=steps, **about)
            write_attestation(one, folder).rename(folder / name)
        return read_attestations(folder)["0" * 64].verified

    old, new = "2026-11-21", "2026-11-22"
    assert kept(("a.json", old, "fail"), ("b.json", new, "pass"))
    assert kept(("b.json", old, "fail"), ("a.json", new, "pass"))
    assert not kept(("a.json", new, "fail"), ("b.json", old, "pass"))
    assert not kept(("a.json", new, "fail"), ("b.json", new, "pass"))
    assert not kept(("b.json", new, "fail"), ("a.json", new, "pass"))


def test_a_folder_of_attestations_that_is_asked_for_must_exist(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="attestations"):
        build([copy], tmp_path / "page", tmp_path / "none")


def test_every_page_says_what_its_marks_do_not(page: Path) -> None:
    for path in page.rglob("*.html"):
        assert "not rebuilt or judged again unless a row is marked verified" in path.read_text()
    assert "This does not prove" in (page / "assets/row.js").read_text()


def test_a_copy_of_the_id_in_another_folder_removes_nothing(copy: Path, tmp_path: Path) -> None:
    genuine = folder_with(4, copy)
    before = {row.id: row for row in build([copy], tmp_path / "before").rows}
    twin = copy / "0000_dup"
    shutil.copytree(genuine, twin)
    (twin / "notes.txt").write_text("so that its files are others")
    name = results.read(genuine).id
    attest(genuine, copy.parent / "verified")
    site = build([copy], tmp_path / "verified", copy.parent / "verified")
    rows = {row.id: row for row in site.rows}
    assert rows.keys() == before.keys()
    assert rows[name].right == before[name].right
    assert rows[name].folders == (genuine,)
    assert [one for one, *_ in document(tmp_path / "verified", name)["proof"]["aside"]] == [name]
    shutil.rmtree(copy.parent / "verified")
    after = {row.id: row for row in build([copy], tmp_path / "after").rows}
    assert after.keys() == before.keys()
    assert after[name].members == (name, name)
    assert after[name].right == before[name].right


# -- challenges ------------------------------------------------------------------------------------

BROKEN = Challenge(
    norm="linf",
    eps=0.1,
    source="A <i>",
    date="2026-11-20",
    broken=(0, 1, 2, 30),
    examples="0" * 64,
)


def test_verified_examples_bring_the_row_down_to_the_worst_case() -> None:
    known = claim({"clean": np.ones(40), "pgd": np.arange(40) < 20}, verified=True)
    one = replace(known, challenges=(BROKEN,))
    (settled,) = settle([one])
    row, record, _ = make_row("aaaaaaaa", settled, [])
    worst = record.find("worst_case_accuracy", norm="linf", eps=0.1)
    assert worst is not None
    assert (worst.value, worst.n) == (17 / 40, 40)
    assert row.score == 17 / 40
    assert [broken_by(b) for b in row.proof.breaks] == ["broken by A <i>: −7.5 points"]
    attacked = record.find("robust_accuracy", attack="pgd")
    assert attacked is not None
    assert attacked.value == 0.5


@pytest.mark.parametrize(
    ("changed", "points"),
    [({"eps": 0.2}, 0.0), ({"norm": "l2"}, 0.0), ({"eps": 0.05}, 7.5)],
)
def test_examples_count_where_the_threat_allows_them(changed: Any, points: float) -> None:
    one = claim({"clean": np.ones(40), "pgd": np.arange(40) < 20}, verified=True)
    one = replace(one, challenges=(BROKEN.model_copy(update=changed),))
    (found,) = breaks(one)
    assert found.points == pytest.approx(points)


def test_many_challenges_of_many_threats_take_what_each_takes_alone() -> None:
    """The smallest threat that allows them, among some that leave fewer images from 300 on."""
    rows = {(f"a{n}", "linf", (n + 1) / 500): np.arange(40) < 20 + (n < 300) for n in range(500)}
    sizes = [number / 500 - 1e-4 for number in range(1, 401)]
    told = tuple(BROKEN.model_copy(update={"eps": one, "broken": (20,)}) for one in sizes)
    one = replace(claim({"clean": np.ones(40), **rows}), challenges=told)
    began = time.process_time()
    assert [found.points for found in breaks(one)] == pytest.approx([2.5] * 300 + [0.0] * 100)
    assert time.process_time() - began < 1


def test_examples_that_nobody_verified_move_nothing() -> None:
    one = claim({"clean": np.ones(40), "pgd": np.arange(40) < 20})
    one = replace(one, challenges=(BROKEN,))
    assert challenged(one)[0] is one.record
    row, *_ = make_row("aaaaaaaa", settle([one])[0], [])
    assert row.score == 20 / 40
    assert row.proof.notes == ("challenged, not verified, by A <i>: −7.5 points",)


def test_images_that_the_record_lacks_are_refused() -> None:
    one = claim({"clean": np.ones(40), "pgd": np.ones(40)}, verified=True)
    with pytest.raises(UserError, match="below 40"):
        challenged(replace(one, challenges=(BROKEN.model_copy(update={"broken": (40,)}),)))


@pytest.mark.parametrize("source", ["see /root/secret", "me\u202e", "me\n  level: verified"])
def test_a_source_that_a_record_may_not_hold_is_refused(copy: Path, source: str) -> None:
    folder = next(results.folders(copy))
    examples = folder / "x.npz"
    np.savez(examples, images=np.zeros((4, 1, 8, 8), np.uint8))
    one = BROKEN.model_copy(update={"source": source, "examples": file_hash(examples)})
    examples.rename(examples_file(folder, one))
    write_challenge(one, folder)
    with pytest.raises(UserError, match="source"):
        at_once(claims.read_claim(next(look([folder])), {}))


def test_an_attestation_is_shown_in_visible_lines(copy: Path, tmp_path: Path) -> None:
    steps = (Step(name="model\u202e", outcome="fail", text="a\n\u2066b"), *STEPS)
    name = attest(folder_with(4, copy), copy.parent / "verified", steps)
    build([copy], tmp_path / "page", copy.parent / "verified")
    page = texts(document(tmp_path / "page", name))
    assert "a \\u2066b" in page
    assert not HIDDEN.search(page)


def test_a_challenge_stands_on_the_page_and_in_every_number(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = next(f for f in results.folders(copy) if results.read(f).audit)
    name = attest(folder, copy.parent / "verified")
    audit = max(results.read(folder).audit, key=lambda one: one.eps)
    table = pd.read_parquet(folder / "audit.parquet")
    held = table[(table.norm == audit.norm) & (table.eps == audit.eps) & table.held]
    one = BROKEN.model_copy(
        update={"norm": audit.norm, "eps": audit.eps, "broken": tuple(held.position.tolist())}
    )
    monkeypatch.setattr(claims, "read_challenges", lambda at: [one] if at == folder else [])
    site = build([copy], tmp_path / "page", copy.parent / "verified")
    row = next(r for r in site.rows if r.id == name)
    assert row.score == 0
    assert row.word == "broken"
    assert "broken by A <i>" in texts(document(tmp_path / "page", name)["warnings"])
    values = pd.read_parquet(tmp_path / "page/data/values.parquet")
    mine = values[(values.record == name) & (values.eps == audit.eps)]
    assert mine[mine.metric == "audited_accuracy"].value.tolist() == [0.0]


# -- one bad record --------------------------------------------------------------------------------


def _fails_for(wanted: object, works: Callable[..., Any], key: Callable[[Any], object]) -> Any:
    def either(one: Any, *more: Any) -> Any:
        if key(one) == wanted:
            raise RuntimeError("nobody foresaw <this>")
        return works(one, *more)

    return either


def test_a_record_that_fails_in_the_first_pass_costs_itself_alone(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = folder_with(4, copy)
    monkeypatch.setattr(
        gather, "read_claim", _fails_for(bad, gather.read_claim, lambda at: at.folder)
    )
    site = build([copy], tmp_path / "page")
    assert len(site.rows) == 3
    assert [(one.name, one.reason) for one in site.refused] == [
        (bad.name, "RuntimeError: nobody foresaw <this>")
    ]
    assert "nobody foresaw &lt;this&gt;" in (tmp_path / "page/index.html").read_text()


def test_a_row_whose_page_fails_costs_itself_alone(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = results.read(folder_with(4, copy)).id
    works = collect.document
    monkeypatch.setattr(collect, "document", _fails_for(bad, works, lambda row: row.id))
    site = build([copy], tmp_path / "page")
    assert [one.name for one in site.refused] == [bad]
    # The page is the one of the other records, but for the line that names this one.
    shutil.rmtree(copy / bad)
    build([copy], tmp_path / "others")
    mine, others = files(tmp_path / "page"), files(tmp_path / "others")
    assert bad.encode() in mine.pop("index.html")
    others.pop("index.html")
    assert mine == others


@pytest.mark.parametrize("where", ["record", "page"])
def test_what_nobody_foresaw_is_raised_when_debugging(
    where: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBENCH_DEBUG", "1")
    bad = folder_with(4, copy)
    if where == "record":
        monkeypatch.setattr(
            gather, "read_claim", _fails_for(bad, gather.read_claim, lambda at: at.folder)
        )
    else:
        name, works = results.read(bad).id, collect.document
        monkeypatch.setattr(collect, "document", _fails_for(name, works, lambda row: row.id))
    with pytest.raises(RuntimeError, match="nobody foresaw"):
        build([copy], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_a_broken_record_is_left_out_when_debugging_too(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBENCH_DEBUG", "1")
    (folder_with(4, copy) / "record.json").write_text("{}")
    site = build([copy], tmp_path / "page")
    assert (len(site.rows), len(site.refused)) == (3, 1)


def test_a_record_that_fails_beside_its_twin_costs_itself_alone(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = copy / "twin"
    shutil.copytree(folder_with(4, copy), twin)
    (twin / "notes.txt").write_text("other content")
    works = gather.settle

    def fails(given: Any) -> Any:
        if len(given) > 1 and any(one.folder == twin for one in given):
            raise RuntimeError("nobody foresaw this")
        return works(given)

    monkeypatch.setattr(gather, "settle", fails)
    site = build([copy], tmp_path / "page")
    assert len(site.rows) == 4
    assert len(site.refused) == 1
    assert "nobody foresaw" in site.refused[0].reason
    monkeypatch.setenv("ROBENCH_DEBUG", "1")
    with pytest.raises(RuntimeError, match="nobody foresaw"):
        build([copy], tmp_path / "other")
