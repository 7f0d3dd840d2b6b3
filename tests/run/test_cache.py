from __future__ import annotations

import errno
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from robench.base.errors import CacheError
from robench.run.cache import MANIFEST, Cache


def make(folder: Path) -> None:
    (folder / "value").write_text("42")
    with (folder.parents[3] / "made").open("a") as log:
        log.write("x")


def read(folder: Path) -> str:
    return (folder / "value").read_text()


def made(root: Path) -> int:
    return len((root / "made").read_text())


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def only_folder(cache: Cache) -> Path:
    (entry,) = cache.entries()
    return entry.folder


def test_a_result_is_made_once_and_keyed_by_its_inputs(cache: Cache, tmp_path: Path) -> None:
    assert cache.fetch("train", {"a": 1}, make, read) == "42"
    assert cache.fetch("train", {"a": 1}, make, read) == "42"
    assert made(tmp_path) == 1
    cache.fetch("train", {"a": 2}, make, read)
    cache.fetch("judge", {"a": 1}, make, read)
    assert made(tmp_path) == 3
    assert len(list(cache.entries())) == 3


def test_a_flipped_byte_is_found_and_made_again(cache: Cache, tmp_path: Path) -> None:
    cache.fetch("train", {}, make, read)
    (only_folder(cache) / "value").write_text("43")
    assert cache.fetch("train", {}, make, read) == "42"
    assert made(tmp_path) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": 3}', '{"sha256": {"gone": "00"}}'])
def test_a_broken_manifest_is_made_again(cache: Cache, tmp_path: Path, text: str) -> None:
    cache.fetch("train", {}, make, read)
    (only_folder(cache) / MANIFEST).write_text(text)
    assert cache.fetch("train", {}, make, read) == "42"
    assert made(tmp_path) == 2


def test_a_crash_leaves_no_result_but_its_checkpoint(cache: Cache, tmp_path: Path) -> None:
    def crash(folder: Path) -> None:
        (folder / "one.checkpoint").write_text("half")
        (folder / "value").write_text("half of another writer")
        (folder / "stray").write_text("what another writer did not finish")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cache.fetch("train", {}, crash, read)
    assert list(cache.entries()) == []

    def resume(folder: Path) -> None:
        assert [path.name for path in folder.iterdir()] == ["one.checkpoint"]
        assert (folder / "one.checkpoint").read_text() == "half"
        (folder / "one.checkpoint").unlink()
        make(folder)

    assert cache.fetch("train", {}, resume, read) == "42"
    assert sorted(path.name for path in only_folder(cache).iterdir()) == [MANIFEST, "value"]


def test_a_full_disk_is_one_clear_error(cache: Cache) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CacheError, match=r"free some space or set cache="):
        cache.fetch("train", {}, full, read)
    assert list(cache.entries()) == []


def test_a_missing_file_of_the_maker_is_not_blamed_on_the_cache(cache: Cache) -> None:
    def absent(folder: Path) -> None:
        raise FileNotFoundError("elsewhere")

    with pytest.raises(FileNotFoundError):
        cache.fetch("train", {}, absent, read)


def slow_make(folder: Path) -> None:
    time.sleep(0.3)
    make(folder)


def fetch_slowly(root: Path) -> str:
    return Cache(root).fetch("train", {}, slow_make, read)


def test_eight_processes_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(8) as pool:
        found = pool.map(fetch_slowly, [tmp_path / "cache"] * 8)
    assert found == ["42"] * 8
    assert made(tmp_path) == 1


def test_prune_deletes_only_what_was_not_read(cache: Cache) -> None:
    cache.fetch("train", {"a": 1}, make, read)
    old = only_folder(cache)
    os.utime(old / MANIFEST, (1, 1))
    cache.fetch("train", {"a": 2}, make, read)
    pruned = cache.unread(older_than=3600)
    assert [entry.folder for entry in pruned] == [old]
    cache.delete(pruned)
    cache.delete(pruned)
    (kept,) = cache.entries()
    assert kept.folder != old


def test_a_whole_result_is_read_where_nothing_can_be_written(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.fetch("train", {}, make, read)

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("robench.run.cache.os.utime", refused)
    assert cache.fetch("train", {}, make, read) == "42"
