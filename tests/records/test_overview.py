"""Records beside each other: what is said of a number is what the page says of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from robench.base.text import counted, true_minus
from robench.records.headline import audit_table, headlines
from robench.records.overview import latest, lines, over_seeds, readable, system
from robench.records.store import read, read_outcomes
from tests.published import copy_of

PUBLISHED = Path(__file__).parents[2] / "leaderboard/records"


def words(*ids: str) -> list[dict[str, object]]:
    found, broken = readable(PUBLISHED / one for one in ids)
    assert broken == ()
    table = lines(found)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def published(condition: str) -> str:
    """A published record whose headline somewhere is said to be so, and whose audit passes."""
    for path in sorted(PUBLISHED.glob("*/record.json")):
        record = read(path.parent)
        if not record.audit or any(audit.verdict != "pass" for audit in record.audit):
            continue
        folder = path.parent
        known = headlines(record, read_outcomes(folder), [audit_table(folder)])
        if min(known.values(), key=lambda one: float(one.holds.mean())).said.word == condition:
            return folder.name
    raise AssertionError(f"expected a published record that is {condition}")


@pytest.mark.parametrize(
    ("word", "mark"), [("broken", "broken"), ("weak", "overstates by"), ("holds", "holds")]
)
def test_an_audit_that_passes_is_no_praise_of_a_number(word: str, mark: str) -> None:
    (row,) = words(published(word))
    assert str(row["word"]).startswith(mark)
    assert "pass" not in row.values()


def test_the_latest_are_those_that_ended_last_whatever_the_disk_says(tmp_path: Path) -> None:
    """A clone has the times of its checkout."""
    folders = sorted(PUBLISHED.glob("*"))[:6]
    copies = [copy_of(one, tmp_path / one.name) for one in folders]
    for at, copy in enumerate(copies):
        os.utime(copy / "record.json", (at, at))
    broken = b'[{"a":' * 99_999, b'{"timings": {"finished": NaN}}'
    for at, text in enumerate(broken):
        (tmp_path / f"torn{at}").mkdir()
        (tmp_path / f"torn{at}" / "record.json").write_bytes(text)
    found = latest(tmp_path, None)
    ended = [one.record.timings["finished"] for one in found.records]
    assert ended == sorted(ended, reverse=True)
    assert len(ended) == len(copies)
    assert len(found.broken) == len(broken)


def test_seeds_share_a_row_with_every_word_of_theirs(tmp_path: Path) -> None:
    ids = [published("broken"), published("holds")]
    found, _ = readable(PUBLISHED / one for one in ids)
    same = [one.record.config for one in found]
    alike = [
        type(one)(
            one.record.model_copy(update={"config": {**same[0], "seed": at}, "seed": at}), one.least
        )
        for at, one in enumerate(found)
    ]
    (row,) = over_seeds(alike).rows
    assert row[1] == "0,1"
    assert row[4] == "broken, holds"


def test_a_file_is_called_by_its_name() -> None:
    record = read(PUBLISHED / published("holds"))
    for path, name in (
        ("/home/me/net.int8.onnx", "net.int8.onnx"),
        ("a\x1b[2J.tflite", "a\\u001b"),
    ):
        config = {**record.config, "model": {"file": {"path": path}}, "defense": {"none": {}}}
        called = system(record.model_copy(update={"config": config}))
        assert called.startswith(name)
        assert "\x1b" not in called


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    folder = copy_of(PUBLISHED / published("holds"), tmp_path / "torn")
    (folder / "outcomes.parquet").write_bytes(b"torn")
    found = latest(tmp_path, None)
    assert (found.records, found.there) == ((), 1)
    assert found.broken[0].startswith("torn: expected")


def test_counts_and_minus_signs_are_those_of_people() -> None:
    assert [counted(n, "row") for n in (0, 1, 2, 1040)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "1,040 rows",
    ]
    given = "-1.0 [-2.0, +3] -.5 at 1e-05 on 2026-11-22, seed=-1, a-1, --eps -m, images/-1"
    assert true_minus(given) == given.replace(
        "-1.0 [-2.0", "\N{MINUS SIGN}1.0 [\N{MINUS SIGN}2.0"
    ).replace(" -.5", " \N{MINUS SIGN}.5")


def test_what_tells_records_of_a_system_apart_stands_beside_it() -> None:
    found, _ = readable([PUBLISHED / published("holds")])
    (one,) = found
    asked = (("attack=fgsm", "images=40", "seed=0"), ("attack=pgd", "images=40", "seed=0"))
    apart = [
        replace(
            one,
            record=one.record.model_copy(
                update={
                    "overrides": typed,
                    "config": {**one.record.config, "attack": {typed[0]: {}}},
                }
            ),
        )
        for typed in asked
    ]
    names = [str(row[0]) for row in over_seeds(apart).rows]
    assert names == [f"{system(one.record)} {typed[0]}" for typed in asked]
