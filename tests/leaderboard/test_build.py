"""Records to a page: complete, the same bytes each time, hostile records left out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import robench
from robench.base.errors import UserError
from robench.cli.main import main
from robench.leaderboard.build import build
from robench.leaderboard.write.shards import row_shards, shard_of
from robench.records import store as results
from tests.leaderboard.pages import data, document, rows, texts


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_records_same_bytes(records: Path, page: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "records"
    shutil.copytree(records, moved)
    # Other names and another order of the folders are no part of the records.
    for number, folder in enumerate(sorted(moved.iterdir(), reverse=True)):
        folder.rename(moved / f"{number}-{folder.name}")
    build([moved], tmp_path / "page")
    assert files(tmp_path / "page") == files(page)


def test_two_processes_write_the_same_bytes(records: Path, tmp_path: Path) -> None:
    """Also where columns tie: the order of a set differs between processes."""
    shutil.copytree(records, tmp_path / "records")
    for folder in results.folders(tmp_path / "records"):
        record = json.loads((folder / results.RECORD).read_bytes())
        record["values"] += [
            {"metric": "certified_accuracy", "value": 0.5, "unit": "share", "axes": axes}
            for sigma in range(12)
            for axes in ({"radius": 0.5, "sigma": f"s{sigma}"}, {"radius": 1.0, "sigma": None})
        ]
        (folder / results.RECORD).write_text(json.dumps(record))
    for seed in ("1", "2"):
        out = str(tmp_path / seed)
        subprocess.run(
            [sys.executable, "-m", "robench", "leaderboard", tmp_path / "records", "--out", out],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
    assert files(tmp_path / "1") == files(tmp_path / "2")


def test_each_record_has_a_page_with_its_values(records: Path, page: Path) -> None:
    for folder in results.folders(records):
        record = results.read(folder)
        found = document(page, record.id)
        values, names = found["values"]["groups"], found["values"]["of"]
        shown = [
            (metric, names[of], value, n)
            for metric, _, n, _, its in values
            for of, value, *_ in its
        ]
        assert len(shown) == len(record.values)
        for (metric, _, value, n), wanted in zip(shown, record.values, strict=True):
            called = wanted.metric.replace("_", " ").replace("by masking", "over the audit")
            assert (metric, n) == (called, wanted.n)
            assert value == (wanted.value and pytest.approx(wanted.value, rel=1e-4))
        assert record.protocol in texts(found["made"])
        assert found["proof"]["members"] == [record.id]


def test_messages_are_text_not_markup(page: Path) -> None:
    said = [row for row in rows(page) if "<b>out of memory" in texts(document(page, row))]
    assert len(said) == 1
    assert not any("<b>out of memory" in path.read_text() for path in page.rglob("*.html"))


def test_the_download_is_what_load_gives(records: Path, page: Path) -> None:
    wanted = robench.results.load(records).drop(columns="path").dropna(axis=1, how="all")
    found = pd.read_parquet(page / "data/values.parquet")
    assert len(found) == len(wanted)
    keys = ["record", "metric", "attack", "access", "norm", "eps"]
    left, right = (
        frame[[*keys, "value", "low", "high", "n"]]
        .astype(dict.fromkeys(keys[:5], str))
        .replace({"nan": "", "None": "", "<NA>": ""})
        .sort_values(keys)
        .reset_index(drop=True)
        for frame in (found, wanted)
    )
    pd.testing.assert_frame_equal(left, right, check_dtype=False)


def test_an_invalid_attack_is_no_number(page: Path) -> None:
    cells = [cell for row in rows(page).values() for cell in row["cells"].values()]
    assert any(cell[:4] == [None, None, None, "invalid"] for cell in cells)


def test_runs_under_no_protocol_are_open_and_have_no_rank(records: Path, page: Path) -> None:
    (tab,) = data(page, "site")["tabs"]
    assert (tab["key"], tab["about"]) == ("open", [])
    assert {row["rank"] for row in rows(page).values()} == {None}
    for row in rows(page):
        assert "an open run: no protocol was chosen" in document(page, row)["no_rank"]


def test_a_row_is_found_from_its_id_alone(records: Path, page: Path, tmp_path: Path) -> None:
    """One more record rewrites one file of documents."""
    assert [row_shards(count) for count in (0, 1, 17, 10_000, 10**6)] == [1, 1, 2, 256, 256]
    names = [f"{number:08x}" for number in range(0, 2**32, 2**32 // 5000)]
    shards = [shard_of(name, 64) for name in names]
    assert {*shards} <= {*range(64)}
    assert {path.name for path in (page / "data").glob("rows-*.js")} == {"rows-0.js"}


def _set(path: str, value: Any) -> Callable[[Path], None]:
    """Change one place of a record's JSON."""

    def change(folder: Path) -> None:
        file = folder / results.RECORD
        record = json.loads(file.read_text())
        place = record
        *before, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for part in before:
            place = place[part]
        place[last] = value
        file.write_text(json.dumps(record))

    return change


def _text(name: str, text: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(text)

    return change


def _link(folder: Path) -> None:
    (folder / "examples.npz").unlink(missing_ok=True)
    (folder / "examples.npz").symlink_to("/etc/passwd")


def _rename_attack(folder: Path) -> None:
    frame = pd.read_parquet(folder / results.OUTCOMES)
    frame.loc[frame.attack == "pgd", "attack"] = "other"
    frame.to_parquet(folder / results.OUTCOMES, index=False)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "wrong_type": (_set("seed", "none"), "seed"),
    "nan": (_set("values.0.value", float("nan")), "values.0.value"),
    "infinite": (_set("values.0.high", float("inf")), "values.0.high"),
    "script_in_metric": (_set("values.0.metric", "<script>alert(1)</script>"), "name"),
    "script_in_attack": (_set("rows.0.attack", "<script>alert(1)</script>"), "name"),
    "script_in_data": (_set("data.name", "<img src=x onerror=alert(1)>"), "name"),
    "formula_in_unit": (_set("values.0.unit", "=cmd()"), "unit"),
    "path_in_id": (_set("id", "../../../../tmp/evil"), "hexadecimal"),
    "quote_in_protocol": (_set("protocol", '"</script>'), "hexadecimal"),
    "ten_megabytes": (_set("notes", {"x": "y" * 10_000_000}), "bytes"),
    "long_text": (_set("provenance.machine", "y" * 100_000), "texts"),
    "unknown_field": (_set("extra", 1), "extra"),
    "no_kinds": (_set("config.model", "small_cnn"), "config.model"),
    "interval_upside_down": (_set("values.0.high", 0.0), "low"),
    "share_above_one": (_set("values.0.high", 2.0), "expected"),
    "future_schema": (_set("schema_version", 99), "schema"),
    "no_json": (_text("record.json", b"\x00\xff"), "record"),
    "no_table": (_text("outcomes.parquet", b"PAR1 not a table PAR1"), "outcomes"),
    "no_picture": (_text("preview.webp", b"<svg onload=alert(1)>"), "PNG"),
    "link": (_link, "link"),
    "other_attack": (_rename_attack, "outcomes.parquet as the record names it"),
    "other_images": (_set("data.images", 7), "35 rows"),
    "other_subset": (_set("data.subset", "0" * 16), "images"),
}


@pytest.fixture(scope="module")
def refused(records: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    """Every hostile record beside the sound ones: why each is refused, and the page."""
    root = tmp_path_factory.mktemp("hostile")
    mixed, out = root / "records", root / "page"
    shutil.copytree(records, mixed)
    source = next(f for f in results.folders(records) if len(results.read(f).rows) == 4)
    for name, (change, _) in HOSTILE.items():
        shutil.copytree(source, mixed / name)
        change(mixed / name)
    site = build([mixed], out)
    assert len(site.rows) == 4
    return {one.name: one.reason for one in site.refused}, out


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_refused_by_name(
    name: str, refused: tuple[dict[str, str], Path]
) -> None:
    assert HOSTILE[name][1] in refused[0][name]


def test_nothing_of_a_hostile_record_reaches_the_page(
    refused: tuple[dict[str, str], Path], page: Path
) -> None:
    built = files(refused[1])
    assert built.keys() == files(page).keys()
    assert not any(b"alert(1)<" in data or b"<script>alert" in data for data in built.values())
    assert b"script_in_metric" in built["index.html"]


def test_the_same_record_twice_is_refused(records: Path, tmp_path: Path) -> None:
    first = next(results.folders(records))
    shutil.copytree(first, tmp_path / "records" / "a")
    shutil.copytree(first, tmp_path / "records" / "b")
    site = build([tmp_path / "records"], tmp_path / "page")
    assert (len(site.rows), [one.name for one in site.refused]) == (1, ["b"])


def test_a_folder_of_something_else_is_not_replaced(records: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="expected an empty folder"):
        build([records], tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_failed_build_leaves_the_old_page(records: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    build([records], out)
    before = files(out)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="sound record"):
        build([tmp_path / "none"], out)
    assert files(out) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_command(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(records), "--out", str(tmp_path / "page")]) == 0
    assert "4 rows" in capsys.readouterr().out
    assert main(["leaderboard", str(records)]) == 2
    assert main(["leaderboard", str(tmp_path / "missing"), "--out", str(tmp_path / "p")]) == 2


def test_a_file_is_no_place_for_the_page(
    records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_file").write_text("kept")
    for out in ("a_file", "a_file/below"):
        assert main(["leaderboard", str(records), "--out", str(tmp_path / out)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        assert "expected --out to name a folder to write into" in err
    assert (tmp_path / "a_file").read_text() == "kept"


def test_the_page_goes_into_the_folder_one_is_in_or_a_link_names(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    build([records], Path())
    assert (tmp_path / "here/index.html").is_file()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    build([records], tmp_path / "link")
    assert (tmp_path / "empty/index.html").is_file()


def test_what_a_sweep_refused_is_stated(records: Path, tmp_path: Path) -> None:
    """The last end of a combination counts; what is no note is left alone."""
    shutil.copytree(records, tmp_path / "records")
    notes = {
        "1/0": {"overrides": ["defense=<i>a</i>"], "record": None, "error": "expected <b>b</b>"},
        "1/1": {"overrides": ["defense=c"], "record": None, "error": "expected d"},
        "2/0": {"overrides": ["defense=c"], "record": "x", "error": None},
        "2/1": {"overrides": 7},
    }
    for name, note in notes.items():
        path = tmp_path / "records/sweeps" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(note))
    (found,) = build([tmp_path / "records"], tmp_path / "page").refusals
    assert (found.asked, found.reason) == ("defense=<i>a</i>", "expected <b>b</b>")
    assert "expected &lt;b&gt;b" in (tmp_path / "page/index.html").read_text()
