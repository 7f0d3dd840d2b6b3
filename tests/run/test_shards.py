"""Data sets in shards: made once whatever happens, mapped, and nothing of them read in vain."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from robench.base.errors import CacheError, DataError
from robench.core import source
from robench.core.data import Data, NoImages
from robench.core.mapped import MappedSplit
from robench.core.source import Images, Part, Source
from robench.run import data_cache, shards
from robench.run.cache import MANIFEST, Cache
from robench.run.data_cache import read_data, write_data
from tests.conftest import USUAL, blobs

INPUTS = {"dataset": "any"}
SHAPE = (3, 4, 4)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten images a shard."""
    monkeypatch.setattr(source, "PIECE", 10 * 48)


@dataclass(frozen=True)
class Logged(Images):
    """Images whose pixels are their numbers; each reading leaves a line."""

    log: Path
    start: int
    stop: int
    slow: float = 0.0
    broken: int = -1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.stop - self.start, *SHAPE

    def of(self, start: int, stop: int) -> Images:
        return Logged(self.log, self.start + start, self.start + stop, self.slow, self.broken)

    def read(self) -> NDArray[np.uint8]:
        time.sleep(self.slow)
        if self.start <= self.broken < self.stop:
            raise DataError(f"expected a readable picture, got image {self.broken}")
        with self.log.open("a") as log:
            log.write(f"{self.start}\n")
        numbers = np.arange(self.start, self.stop, dtype=np.uint8)
        return np.broadcast_to(numbers[:, None, None, None], self.shape)


def logged(folder: Path, count: int = 45, slow: float = 0.0, broken: int = -1) -> Source:
    labels = torch.arange(count) % 3
    part = Part(Logged(folder / "log", 0, count, slow, broken), labels)
    return Source(None, part, ("a", "b", "c"), USUAL)


def fetch(folder: Path, made: Source) -> Data:
    return Cache(folder / "cache").fetch(
        "data", INPUTS, lambda work: write_data(made, work), read_data
    )


def read_so_far(folder: Path) -> list[int]:
    log = folder / "log"
    found = [int(line) for line in log.read_text().split()] if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def pixels_of(folder: Path) -> Path:
    return next((folder / "cache").glob("data/*/*/test.pixels"))


def test_what_is_mapped_is_what_was_loaded(tmp_path: Path) -> None:
    given = Data(blobs(31, 0), blobs(20, 1), ("a", "b", "c"), USUAL)
    write_data(Source.of(given), tmp_path)
    data = read_data(tmp_path)
    assert (data.hash, data.classes, data.threat) == (given.hash, given.classes, given.threat)
    for name, split in given.splits.items():
        assert torch.equal(data.splits[name].images, split.images)
        assert torch.equal(data.splits[name].labels, split.labels)
    assert Data(data.train, data.test, data.classes, data.threat).hash == given.hash


def test_without_training_images(tmp_path: Path) -> None:
    given = Data(NoImages(), blobs(20, 1), ("a", "b", "c"), USUAL)
    write_data(Source.of(given), tmp_path)
    assert read_data(tmp_path).hash == given.hash
    assert not read_data(tmp_path).has_training


def test_what_is_written_to_mapped_images_stays_with_their_owner(tmp_path: Path) -> None:
    data = fetch(tmp_path, logged(tmp_path))
    copied = deepcopy(data)
    copied.test.images.zero_()
    copied.test.labels.zero_()
    assert data.test.images[7].unique().tolist() == [7]
    assert data.test.labels.unique().tolist() == [0, 1, 2]
    assert deepcopy(copied).test.images[7].unique().tolist() == [7], "as in the file"
    assert fetch(tmp_path, logged(tmp_path)).hash == data.hash


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")
def test_only_what_is_looked_at_is_read(tmp_path: Path) -> None:
    file = tmp_path / "test.pixels"
    with file.open("wb") as opened:
        opened.truncate(2**30)
    split = MappedSplit(file, (2**14, 1, 256, 256), torch.zeros(2**14, dtype=torch.int64))
    split.take(torch.tensor([3, 9_000]))
    deepcopy(split)
    text = Path("/proc/self/smaps").read_text()
    resident = text[text.index(str(file)) :].split("Rss:")[1].split()[0]
    assert int(resident) < 4_096, "kB of a gigabyte"


def test_more_than_the_machine_has_is_mapped(tmp_path: Path) -> None:
    file, count = tmp_path / "test.pixels", 2**14
    with file.open("wb") as opened:
        opened.truncate(count * 2**26)
    split = MappedSplit(file, (count, 1, 2**13, 2**13), torch.zeros(count, dtype=torch.int64))
    assert int(split.images[count - 1, 0, -1, -1]) == 0, "the last of a terabyte"


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    data = fetch(tmp_path, logged(tmp_path))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(CacheError, match="was the cache pruned"):
        deepcopy(data)


KILLED = """
import sys
from pathlib import Path
from robench.core import source
source.PIECE = 480
from tests.run.test_shards import fetch, logged
fetch(Path(sys.argv[1]), logged(Path(sys.argv[1]), slow=0.2))
"""


def test_a_killed_conversion_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path])
    log = tmp_path / "log"
    while not log.exists() or len(log.read_text().split()) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = read_so_far(tmp_path)
    data = fetch(tmp_path, logged(tmp_path))
    again = read_so_far(tmp_path)
    # What was being written when the process died is read again, and nothing else.
    assert sorted({*before, *again}) == [0, 10, 20, 30, 40]
    assert len({*before} & {*again}) <= 1
    assert 0 not in again
    assert data.hash == fetch(tmp_path / "other", logged(tmp_path)).hash


def test_a_line_that_was_cut_short_is_no_shard(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        fetch(tmp_path, logged(tmp_path, broken=30))
    lines = next((tmp_path / "cache").glob("data/*/*/*.shards.checkpoint"))
    whole = lines.read_text().splitlines()
    assert len(whole) == 4, "what the shards are, and three of them"
    lines.write_text("\n".join(whole)[:-9])
    read_so_far(tmp_path)
    fetch(tmp_path, logged(tmp_path))
    assert read_so_far(tmp_path) == [20, 30, 40]


def test_half_a_conversion_of_other_images_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        fetch(tmp_path, logged(tmp_path, broken=30))
    read_so_far(tmp_path)
    assert len(fetch(tmp_path, logged(tmp_path, 25)).test) == 25
    assert read_so_far(tmp_path) == [0, 10, 20]


def test_a_disk_that_fills_up_is_one_line_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = shards._make

    def full(shard: shards.Shard) -> str:
        if shard.offset >= 30 * 48:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return make(shard)

    monkeypatch.setattr(shards, "_make", full)
    with pytest.raises(CacheError, match="No space left on device; free some space") as error:
        fetch(tmp_path, logged(tmp_path))
    assert "\n" not in str(error.value)
    assert list(Cache(tmp_path / "cache").entries()) == []
    monkeypatch.setattr(shards, "_make", make)
    assert read_so_far(tmp_path) == [0, 10, 20]
    fetch(tmp_path, logged(tmp_path))
    assert read_so_far(tmp_path) == [30, 40]


def test_a_disk_without_room_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=2_000)
    monkeypatch.setattr(data_cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        CacheError, match=r"expected 0 MB free .*, got 0; free some space or set cache="
    ):
        fetch(tmp_path, logged(tmp_path))
    assert read_so_far(tmp_path) == []


def tear(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[15 * 48] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: 15 * 48])


@pytest.mark.parametrize(("damage", "again"), [(tear, [10]), (cut, [10, 20, 30, 40])])
def test_only_torn_shards_are_made_again(tmp_path: Path, damage: object, again: list[int]) -> None:
    before = fetch(tmp_path, logged(tmp_path)).hash
    read_so_far(tmp_path)
    damage(pixels_of(tmp_path))  # type: ignore[operator]
    data = fetch(tmp_path, logged(tmp_path))
    assert (data.hash, read_so_far(tmp_path)) == (before, again)
    assert data.test.images[15].unique().tolist() == [15]


def test_of_a_large_file_every_start_sees_the_size_and_a_check_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "HASHED", 100)
    cache = Cache(tmp_path / "cache")
    fetch(tmp_path, logged(tmp_path))
    assert cache.check() == []
    tear(pixels_of(tmp_path))
    read_so_far(tmp_path)
    fetch(tmp_path, logged(tmp_path))
    assert read_so_far(tmp_path) == [], "its size is right"
    assert [entry.step for entry in cache.check()] == ["data"]
    fetch(tmp_path, logged(tmp_path))
    assert read_so_far(tmp_path) == [10]
    cut(pixels_of(tmp_path))
    fetch(tmp_path, logged(tmp_path))
    assert read_so_far(tmp_path) == [10, 20, 30, 40]


def test_what_a_failure_left_is_pruned(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        fetch(tmp_path, logged(tmp_path, broken=30))
    assert list((tmp_path / "cache").glob("data/*/*.partial/*.checkpoint"))
    cache = Cache(tmp_path / "cache")
    (left,) = cache.unread()
    assert left.nbytes > 0
    cache.delete([left])
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_complete_cache_may_be_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(tmp_path, logged(tmp_path))
    opened = Path.open

    def reading(path: Path, mode: str = "r", *given: object, **named: object) -> object:
        assert not set(mode) & set("wax+"), f"{path} opened for writing"
        return opened(path, mode, *given, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", reading)
    monkeypatch.setattr(os, "utime", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert len(fetch(tmp_path, logged(tmp_path)).test) == 45


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part(source.Held(blobs(6, 0).images), torch.full((6,), 9)), r"labels in 0\.\.2, got 9"),
        (Part(source.Held(torch.zeros(6, 3, 5, 5).byte()), blobs(6, 0).labels), "of one shape"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_read(part: Part, message: str) -> None:
    good = Part(source.Held(blobs(6, 0).images), blobs(6, 0).labels)
    with pytest.raises(DataError, match=message):
        Source(part, good, ("a", "b", "c"), USUAL)


def test_misshapen_pieces_are_refused(tmp_path: Path) -> None:
    class Odd(Logged):
        def read(self) -> NDArray[np.uint8]:
            return np.zeros((self.stop - self.start, 3, 4, 5), np.uint8)

    odd = Odd(tmp_path / "log", 0, 45)
    odd_part = Part(odd, torch.zeros(45, dtype=torch.int64))
    object.__setattr__(odd, "of", lambda start, stop: Odd(tmp_path / "log", start, stop))
    with pytest.raises(DataError, match=r"uint8 pixels of shape \(10, 3, 4, 4\), got uint8"):
        fetch(tmp_path, Source(None, odd_part, ("a",), USUAL))


def test_a_manifest_holds_no_hash_of_the_pixels_twice(tmp_path: Path) -> None:
    fetch(tmp_path, logged(tmp_path))
    text = (pixels_of(tmp_path).parent / MANIFEST).read_text()
    assert '"test.pixels.shards"' in text
    assert '"test.pixels"' not in text


def test_labels_without_images_are_no_split() -> None:
    with pytest.raises(DataError, match="expected 3 int64 labels"):
        Part(source.Held(blobs(3, 0).images), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(DataError, match="empty split"):
        Part(source.Held(blobs(3, 0).images[:0]), torch.zeros(0, dtype=torch.int64))
