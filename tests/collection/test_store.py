"""The store: nothing is read twice, nothing damaged is believed, and two processes may share it."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from robench.base.errors import UserError
from robench.collection import known, results, store
from robench.collection.known import look, read_known, scan, with_known, write_known
from robench.collection.sealed import read_sealed, write_sealed
from robench.collection.shards import Shards
from robench.collection.store import Collection, fill
from robench.core.record import Record
from robench.records.store import RECORD, folders, read
from robench.studies.run import Records
from robench.studies.runs import Runs, Variant

PUBLISHED = Path(__file__).parents[2] / "leaderboard/records"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five published records."""
    for folder in list(folders(PUBLISHED))[::50]:
        shutil.copytree(folder, tmp_path / "records" / folder.name)
    return tmp_path / "records"


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written just now counts as long unchanged, but where a test says otherwise."""
    monkeypatch.setattr(known, "SETTLED", -3600.0)


@pytest.fixture
def table(tmp_path: Path) -> Shards:
    return Shards(tmp_path / "table", "t", {"value": "int64"})


def paths(table: Shards) -> list[Path]:
    return sorted(table.folder.iterdir())


def rows(table: Shards) -> dict[str, int]:
    fresh = Shards(table.folder, table.name, table.columns)
    return {
        key: value
        for _, columns in fresh.read()
        for key, value in zip(columns["key"], columns["value"], strict=True)
    }


# -- shards ----------------------------------------------------------------------------------------


def test_rows_come_back_and_leave(table: Shards) -> None:
    table.write(3, {"b": {"value": 2}, "a": {"value": 1}})
    table.write(5, {"c": {"value": 3}})
    table.write(3, {"d": {"value": 4}}, {"a", "c"}.__contains__)
    assert rows(table) == {"a": 1, "d": 4, "c": 3}
    assert table.keys() == {"a": 3, "d": 3, "c": 5}


def test_equal_rows_are_equal_bytes_in_any_order(table: Shards, tmp_path: Path) -> None:
    table.write(0, {"a": {"value": 1}, "b": {"value": 2}})
    other = Shards(tmp_path / "other", "t", table.columns)
    other.write(0, {"b": {"value": 2}})
    other.write(0, {"a": {"value": 1}})
    assert [path.name for path in paths(table)] == [path.name for path in paths(other)]


@pytest.mark.parametrize("harm", ["short", "edited", "empty"])
def test_a_damaged_shard_is_none(harm: str, table: Shards) -> None:
    table.write(0, {"a": {"value": 1}})
    table.write(1, {"b": {"value": 2}})
    (path,) = (path for path in paths(table) if "-00-" in path.name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes({"short": data[:-9], "edited": data, "empty": b""}[harm])
    assert rows(table) == {"b": 2}
    assert not path.exists()


def hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 * 10**9)


STRANGE: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("/dev/zero"),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "hole": hole,
    "folder": lambda path: (path / "a").mkdir(parents=True),
}
"""What to lay in the place of a file: what hangs a reader, or takes all memory."""


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_plain_file_of_sane_size_is_made_again(
    kind: str, table: Shards, tmp_path: Path
) -> None:
    table.write(0, {"a": {"value": 1}})
    write_sealed(tmp_path / "known", [1])
    for path in (*paths(table), tmp_path / "known"):
        path.unlink()
        STRANGE[kind](path)
    again = Shards(table.folder, table.name, table.columns)
    assert rows(again) == {}
    again.write(0, {"a": {"value": 2}})
    assert rows(again) == {"a": 2}
    assert read_sealed(tmp_path / "known") is None
    write_sealed(tmp_path / "known", [2])
    assert read_sealed(tmp_path / "known") == [2]


@pytest.mark.parametrize("kind", sorted(STRANGE))
def test_a_lock_that_is_no_plain_file_holds_nobody_up(kind: str, tmp_path: Path) -> None:
    STRANGE[kind](tmp_path / "lock")
    with Collection(tmp_path).held():
        assert (tmp_path / "lock").is_file()


def test_a_file_under_another_name_is_none(table: Shards, tmp_path: Path) -> None:
    """Sound bytes, but of another table, of another place, or of another question."""
    table.write(0, {"a": {"value": 1}})
    other = Shards(table.folder, "other", {"word": "string"})
    other.write(0, {"a": {"word": "x"}})
    for path in paths(table):
        stem, _, rest = path.name.partition("-00-")
        (path.parent / f"{stem}-07-{rest}").write_bytes(path.read_bytes())
        name = "t" if stem == "other" else "other"
        path.rename(path.parent / f"{name}-00-{rest}")
    assert rows(Shards(table.folder, table.name, table.columns)) == {}
    assert list(Shards(table.folder, "other", {"word": "string"}).read()) == []
    write_sealed(tmp_path / "one", [1])
    (tmp_path / "one").rename(tmp_path / "two")
    assert read_sealed(tmp_path / "two") is None


def test_of_two_files_of_a_shard_the_newer_counts(table: Shards) -> None:
    """As a process leaves them that is killed before it deletes the older one."""
    table.write(0, {"a": {"value": 1}})
    (old,) = paths(table)
    data = old.read_bytes()
    table.write(0, {"b": {"value": 2}})
    old.write_bytes(data)
    os.utime(old, (1, 1))
    assert rows(table) == {"a": 1, "b": 2}
    table.write(0, {"c": {"value": 3}})
    assert len(paths(table)) == 1
    assert not old.exists()


def test_words_come_back_as_one_object_each(tmp_path: Path) -> None:
    table = Shards(tmp_path / "table", "t", {"word": "words"})
    said = [f"a word {number % 2}" for number in range(6)]
    table.write(0, {str(at): {"word": one} for at, one in enumerate(said)} | {"x": {"word": None}})
    ((_, columns),) = table.read()
    assert columns["word"] == [*said, None]
    assert len(set(map(id, columns["word"]))) == 3


def test_what_is_read_before_a_shard_is_rewritten_stays(tmp_path: Path) -> None:
    table = Shards(tmp_path / "table", "t", {"long": "binary"})
    table.write(0, {"b": {"long": b"of b"}, "c": {"long": b"of c"}})
    later = table.later(0, ["long"])
    later.read()
    table.write(0, {"a": {"long": b"of a"}}, {"c"}.__contains__)
    assert later(0, "long") == b"of b"
    assert [table.later(0, ["long"])(at, "long") for at in (0, 1)] == [b"of a", b"of c"]


def test_another_version_is_another_table(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    collection.table("t", {"value": "int64"}, "1").write(0, {"a": {"value": 1}})
    assert collection.table("t", {"value": "int64"}, "1").keys()
    assert not collection.table("t", {"value": "int64"}, "2").keys()
    assert not collection.table("t", {"value": "double"}, "1").keys()


def test_only_what_is_missing_is_made(table: Shards) -> None:
    table.write(1, {"a": {"value": 1}})
    wanted = {"a": ("a", 7), "b": ("b", 8), "c": ("c", 9)}
    left = fill({"t": table}, wanted, {"a": 1, "b": 1, "c": 2}.__getitem__, _made)
    assert rows(table) == {"a": 1, "b": 8}
    assert left == {"c": "not nine"}


def _made(lot: Sequence[tuple[str, int]]) -> list[Any]:
    return ["not nine" if value == 9 else {"t": {key: {"value": value}}} for key, value in lot]


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    collection, order = Collection(tmp_path), list[str]()

    def second() -> None:
        with Collection(tmp_path).held():
            order.append("second")

    with collection.held():
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_sealed_file_that_was_edited_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_sealed(path, {"a": [1]})
    assert read_sealed(path) == {"a": [1]}
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    assert read_sealed(path) is None
    assert read_sealed(tmp_path / "none") is None


# -- folders ---------------------------------------------------------------------------------------


def test_a_folder_is_known_until_something_of_it_changes(root: Path, tmp_path: Path) -> None:
    folder = next(folders(root))

    def seen() -> known.Seen:
        (found,) = (one for one in scan(root) if one.folder == folder)
        assert [found] == list(look([folder]))
        return with_known(found, read_known(tmp_path / "known"))

    from dataclasses import replace

    write_known(tmp_path / "known", [replace(seen(), digest="d", content="c")])
    assert (seen().digest, seen().content) == ("d", "c")
    (folder / "new").touch()
    assert (seen().digest, seen().content) == ("d", "")
    (folder / RECORD).write_text("{}")
    assert (seen().digest, seen().content) == ("", "")


def test_what_changed_just_now_is_not_known(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tick of the disk's clock a file may change twice."""
    monkeypatch.setattr(known, "SETTLED", 3600.0)
    assert {(one.state, one.record) for one in scan(root)} == {("", "")}


# -- values ----------------------------------------------------------------------------------------


def expected(root: Path) -> Iterator[dict[str, Any]]:
    """Every value of every record, read one by one."""
    for folder in folders(root):
        record = read(folder)
        for value in record.values:
            yield {
                "record": record.id,
                "seed": record.seed,
                "defense": "+".join(record.config["defense"]),
                "metric": value.metric,
                "value": value.value,
                "low": value.low,
                "n": value.n,
                "unit": value.unit,
                "attack": value.axes.get("attack"),
                "eps": value.axes.get("eps"),
                "radius": value.axes.get("radius"),
                "path": str(folder),
            }


def test_load_is_what_the_records_say(root: Path) -> None:
    wanted = pd.DataFrame(expected(root)).dropna(axis=1, how="all")
    for _ in range(2):
        found = results.load(root)[list(wanted)]
        for name in wanted:
            column = found[name].astype(object).where(found[name].notna(), None)
            assert (
                column.tolist()
                == wanted[name].astype(object).where(wanted[name].notna(), None).tolist()
            ), name


def test_load_reads_a_record_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = results.load(root)
    changed = next(folders(root))
    record = json.loads((changed / RECORD).read_bytes())
    record["values"] = record["values"][:1]
    (changed / RECORD).write_text(json.dumps(record))
    read_again = list[Path]()

    def parse(data: bytes, path: Path) -> Record:
        read_again.append(path.parent)
        return Record.model_validate_json(data)

    monkeypatch.setattr(store, "parse", parse)
    second = results.load(root)
    assert read_again == [changed]
    assert (second.path == str(changed)).sum() == 1
    same = first[first.path != str(changed)].reset_index(drop=True)
    rest = second[second.path != str(changed)].reset_index(drop=True)
    assert rest[["record", "value"]].astype(str).equals(same[["record", "value"]].astype(str))


def test_load_makes_damaged_shards_again(root: Path) -> None:
    wanted = results.load(root)
    shards = list(Collection.of([root]).folder.rglob("*.parquet"))
    assert shards
    for path in shards:
        path.write_bytes(path.read_bytes()[:100])
    pd.testing.assert_frame_equal(results.load(root), wanted)


def test_load_names_a_damaged_record_and_leaves_it_out(root: Path) -> None:
    bad, *others = folders(root)
    (bad / RECORD).write_text("{}")
    with pytest.warns(UserWarning, match=f"left out .*{bad.name}: expected "):
        found = results.load(root)
    assert set(found.path) == {str(one) for one in others}


def test_an_axis_of_a_taken_name_gets_another(root: Path) -> None:
    folder = next(folders(root))
    record = json.loads((folder / RECORD).read_bytes())
    record["values"][0]["axes"] = {"level": 3, "metric": "m", "path": "p"}
    (folder / RECORD).write_text(json.dumps(record))
    first = results.load(root).query("path == @folder.__str__()").iloc[0]
    assert (first.axis_level, first.axis_metric, first.axis_path) == (3, "m", "p")


def test_nothing_below_a_folder_is_said(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="expected records below"):
            results.load(place)


# -- studies ---------------------------------------------------------------------------------------


def test_a_study_opens_what_it_asks_for_and_names_what_it_cannot_read(root: Path) -> None:
    first, bad, *_ = folders(root)
    (bad / RECORD).write_text("{}")
    chosen = {kind: tuple(read(first).config[kind]) for kind in ("dataset", "model", "defense")}
    records = Records(root)
    runs = Runs(records, [Variant("one", chosen)])
    assert first in {run.folder for run in records.possible([chosen])}
    assert [run.record.id for run in runs]
    assert set(records.aside) == {bad.name}
