"""The page from the store: equal to one built from nothing, whatever was there before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from robench.collection import known
from robench.collection.known import Seen
from robench.collection.store import Collection
from robench.leaderboard.build import build
from robench.leaderboard.read.twins import settle
from robench.leaderboard.table.row import BoardRow, make_row
from robench.leaderboard.table.stored import Decoder, encode
from robench.leaderboard.write import gather
from robench.records.store import RECORD, folders
from tests.leaderboard.forger import Forgery
from tests.leaderboard.made import LABELS, claim, protocol
from tests.leaderboard.test_build import files
from tests.published import copy_of

PUBLISHED = Path(__file__).parents[2] / "leaderboard/records"
SOME = ("beeedeb09fcd6c79", "1595fb9b4ddcb1e7", "1aadc02207c7fac9", "11263b4f28da4287")


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "SETTLED", -3600.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in SOME:
        copy_of(PUBLISHED / name, tmp_path / "records" / name)
    return tmp_path / "records"


def from_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    with monkeypatch.context() as patch:
        patch.setenv("ROBENCH_CACHE", str(tmp_path / "another"))
        build([root], tmp_path / "from nothing")
    return files(tmp_path / "from nothing")


def test_a_page_grown_record_by_record_is_the_page_of_all(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one left again, and where two make one row."""
    waiting, out = tmp_path / "waiting", tmp_path / "page"
    waiting.mkdir()
    for name in SOME[1:]:
        (root / name).rename(waiting / name)
    for name in SOME[1:]:
        build([root], out)
        (waiting / name).rename(root / name)
    shutil.copytree(root / SOME[1], root / "twin")
    (root / "twin" / "notes.txt").write_text("of other content")
    build([root], out)
    shutil.rmtree(root / SOME[0])
    build([root], out)
    assert files(out) == from_nothing(root, tmp_path, monkeypatch)


def test_what_did_not_change_is_neither_read_nor_written(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page"
    build([root], out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.*")}
    taken = list[Path]()
    works = gather.read_claim

    def read_claim(seen: Seen, attestations: Any) -> Any:
        taken.append(seen.folder)
        return works(seen, attestations)

    monkeypatch.setattr(gather, "read_claim", read_claim)
    build([root], out)
    assert taken == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.*")} == before
    added = root / "zz"
    shutil.copytree(root / SOME[3], added)
    text = (added / RECORD).read_text()
    (added / RECORD).write_text(text + "\n")
    build([root], out)
    # The one that joins its row is read again with it.
    assert set(taken) == {added, root / SOME[3]}


@pytest.mark.parametrize("harm", ["store", "page"])
def test_damage_is_made_good(
    harm: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page"
    build([root], out)
    before = files(out)
    if harm == "store":
        for path in Collection.of([root]).folder.rglob("*"):
            if path.is_file():
                path.write_bytes(path.read_bytes()[:-20])
    (out / "data/site.js").write_text("robench.take('site', {});")
    (out / "row.html").unlink()
    (out / "data/stray.js").write_text("alert(1)")
    build([root], out)
    assert files(out) == before


@pytest.mark.parametrize("settled", [0.0, known.SETTLED], ids=["old files", "new files"])
def test_a_record_that_changes_meanwhile_is_left_out_until_the_next_build(
    settled: float, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, works = root / SOME[1], gather.read_claim
    monkeypatch.setattr(known, "SETTLED", settled)

    def changing(seen: Seen, attestations: Any) -> Any:
        if seen.folder == bad:
            (seen.folder / "notes.txt").write_text("new")
        return works(seen, attestations)

    with monkeypatch.context() as patch:
        patch.setattr(gather, "read_claim", changing)
        site = build([root], tmp_path / "page")
    assert [(one.name, one.reason) for one in site.refused] == [(bad.name, gather.CHANGED)]
    assert build([root], tmp_path / "page").refused == ()


def test_a_folder_that_is_gone_meanwhile_is_left_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = gather.read_contents

    def vanishing(seen: Any) -> Any:
        shutil.rmtree(root / SOME[1])
        return works(seen)

    monkeypatch.setattr("robench.leaderboard.build.read_contents", vanishing)
    site = build([root], tmp_path / "page")
    assert [one.name for one in site.refused] == [SOME[1]]
    assert len(site.rows) == len(SOME) - 1


def test_an_id_that_two_systems_claim_is_the_address_of_neither(tmp_path: Path) -> None:
    """The forger chooses whose files' digest comes first."""
    name = "01ec07db725967a1"
    honest = copy_of(PUBLISHED / name, tmp_path / "records" / name)
    assert [row.id for row in build([tmp_path / "records"], tmp_path / "page").rows] == [name]
    own = set()
    for number in range(3):
        other = tmp_path / f"records{number}" / "other"
        forgery = Forgery(honest, other)
        forgery.set("data.hash", f"{number:016x}")
        forgery.seal()
        site = build([tmp_path / "records", other.parent], tmp_path / f"page{number}")
        ids = {row.folders[0].name: row.id for row in site.rows}
        assert ids.keys() == {name, "other"}
        assert name not in ids.values()
        own.add(ids[name])
    assert len(own) == 1


def made(**more: Any) -> BoardRow:
    answers = {"clean": LABELS >= 0, "pgd": LABELS > 0, ("fgsm", "linf", 0.2): LABELS > 1}
    (settled,) = settle([claim(answers, **more)])
    return make_row("aaaaaaaa", settled, [])[0]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"protocol": protocol(), "weights": "ab" * 32, "verified": True},
        {"audited": (12, "suspect"), "bits": 4, "queries_only": ("pgd",)},
    ],
)
def test_a_row_comes_back_from_the_store_as_it_was(given: dict[str, Any]) -> None:
    row = made(**given)
    encoded = encode(row)
    decode = Decoder({row.contents[0]: row.folders[0]})
    kept = decode.columns({name: [value] for name, value in encoded.items()})
    again = decode(kept, 0, encoded.__getitem__)
    assert replace(again, cells=dict(again.cells)) == row
    assert list(again.cells) == list(row.cells)


def test_the_store_lies_in_the_cache_and_not_beside_the_records(root: Path, tmp_path: Path) -> None:
    """Whoever sends records may lay anything beside them."""
    before = files(root)
    build([root], tmp_path / "page")
    assert files(root) == before
    assert set(folders(root)) == {root / name for name in SOME}


def test_two_builds_at_once_leave_the_page_of_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "page"
    with ThreadPoolExecutor(2) as both:
        sites = list(both.map(lambda _: build([root], out), range(2)))
    assert [len(site.rows) for site in sites] == [len(SOME)] * 2
    assert files(out) == from_nothing(root, tmp_path, monkeypatch)


def test_several_processes_make_the_page_of_one(root: Path, tmp_path: Path) -> None:
    """Also its pictures, which another process draws where there are many records."""
    build([root], tmp_path / "alone")
    code = """
import os, sys
from pathlib import Path
from robench.base import parallel
parallel.FEW = 1
os.sched_getaffinity = lambda _: {0, 1}
from robench.leaderboard.build import build
build([Path(sys.argv[1])], Path(sys.argv[2]))
sys.exit("vl_convert" in sys.modules)
"""
    several = tmp_path / "several"
    settings = {**os.environ, "ROBENCH_CACHE": str(tmp_path / "another")}
    subprocess.run([sys.executable, "-c", code, root, several], env=settings, check=True)
    assert files(several) == files(tmp_path / "alone")
