"""The pixels of a split in one file, made and checked shard by shard.

A shard is a run of images of some 32 MiB. All shards of a split lie in one file, so that its
images are one tensor wherever they are used. Beside it lies its index: a line of what the shards
are, then a line a shard that is whole, its number and SHA-256. A conversion that was killed goes on
behind the shards whose bytes are those of the index.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robench.base.errors import CacheError, DataError
from robench.base.parallel import workers
from robench.base.progress import Advance
from robench.core.source import Images

INDEX = ".shards"
"""How the name of an index goes on behind that of its file."""
HASHED = 2**28
"""Bytes of a file up to which every opening hashes it; of a larger one it looks at the size."""


@dataclass(frozen=True)
class Index:
    """What the shards of a file are, and the SHA-256 of those that are whole, by number."""

    shape: tuple[int, ...]
    images: int
    """Images in each shard, but the last."""
    known: dict[int, str]

    @property
    def bytes(self) -> int:
        """Of the whole file."""
        return math.prod(self.shape)

    @property
    def shard(self) -> int:
        """Bytes of each shard, but the last."""
        return self.images * math.prod(self.shape[1:])

    @property
    def count(self) -> int:
        """Shards of the file."""
        return math.ceil(self.shape[0] / self.images)


@dataclass(frozen=True)
class Shard:
    """A shard to be made: where it goes, and what its bytes should hash to if they are there."""

    images: Images
    work: Path
    offset: int
    known: str


def index_of(file: Path) -> Path:
    """The index beside a file."""
    return file.with_name(file.name + INDEX)


# -- writing ---------------------------------------------------------------------------------------


def convert(images: Images, file: Path, suffix: str, advance: Advance) -> Iterator[memoryview]:
    """Write images into a file; yields the bytes of each shard, in order, when it is whole.

    They are overwritten by the next shard's. Until all are there, file and index have `suffix`
    behind their names, and what another process left under these names is gone on with. Raises
    DataError for images that cannot be read, CacheError when a process that decodes is killed,
    OSError when the disk refuses.
    """
    work, lines = (path.with_name(path.name + suffix) for path in (file, index_of(file)))
    index = _resumed(lines, images)
    fresh = lines.with_name(f"{lines.name}.new")
    fresh.write_text(_text(index), encoding="utf-8")
    fresh.replace(lines)
    with work.open("ab") as opened:
        opened.truncate(index.bytes)
    pixels = memoryview(bytearray(index.shard))
    with lines.open("a", encoding="utf-8") as out, work.open("rb", buffering=0) as whole:
        for number, sha256 in enumerate(_made(images, index, work)):
            if sha256 != index.known.get(number):
                out.write(_line([number, sha256]))
                out.flush()
            yield pixels[: whole.readinto(pixels)]
            advance(min(index.images, images.shape[0] - number * index.images))
    for made, kept in ((work, file), (lines, index_of(file))):
        made.replace(kept)


def _made(images: Images, index: Index, work: Path) -> Iterator[str]:
    """The SHA-256 of each shard, in order, made where it is not there."""
    total, step = images.shape[0], index.images
    shards = [
        Shard(
            images.of(start, min(start + step, total)),
            work,
            start * images.image_bytes,
            index.known.get(number, ""),
        )
        for number, start in enumerate(range(0, total, step))
    ]
    try:
        with workers(total if images.decoded else 0, chunk=1) as each:
            yield from each(_make, shards)
    except BrokenProcessPool as error:
        raise CacheError(
            "expected the processes that decode to end by themselves, got one killed (is there "
            "memory enough?); start again to go on from the last whole shard"
        ) from error


def _make(shard: Shard) -> str:
    """Write a shard unless it is there; its SHA-256."""
    with shard.work.open("r+b") as file:
        if shard.known:
            file.seek(shard.offset)
            found = hashlib.sha256(file.read(math.prod(shard.images.shape))).hexdigest()
            if found == shard.known:
                return found
        pixels = shard.images.read()
        if pixels.dtype != np.uint8 or pixels.shape != shard.images.shape:
            raise DataError(
                f"expected uint8 pixels of shape {shard.images.shape}, got {pixels.dtype} "
                f"{pixels.shape}"
            )
        plain = np.ascontiguousarray(pixels).reshape(-1).data
        file.seek(shard.offset)
        file.write(plain)
    return hashlib.sha256(plain).hexdigest()


# -- the index -------------------------------------------------------------------------------------


def _resumed(lines: Path, images: Images) -> Index:
    """The index that another process left of these images, or one without a shard."""
    try:
        index = _read(lines)
    except (OSError, ValueError):
        index = None
    fresh = Index(images.shape, images.piece, {})
    same = index and (index.shape, index.images) == (fresh.shape, fresh.images)
    return index if index and same else fresh


def _read(lines: Path) -> Index:
    """Raises OSError and ValueError; a last line that was cut short is left out."""
    about, *rest = lines.read_text(encoding="utf-8").split("\n")
    given = json.loads(about)
    # The text ends with a line break: what stands behind the last one was never finished.
    known = dict(json.loads(line) for line in rest[:-1])
    return Index(tuple(given["shape"]), given["images"], known)


def _text(index: Index) -> str:
    lines = [{"shape": index.shape, "images": index.images}, *sorted(index.known.items())]
    return "".join(map(_line, lines))


def _line(value: object) -> str:
    return json.dumps(value) + "\n"


# -- checking --------------------------------------------------------------------------------------


def indexed(folder: Path) -> list[Path]:
    """The files of a folder that have an index."""
    return [path.with_name(path.name.removesuffix(INDEX)) for path in folder.glob(f"*{INDEX}")]


def files_of(folder: Path) -> list[Path]:
    """What can be gone on with: such files that are there, and their indices."""
    found = [path for file in indexed(folder) for path in (file, index_of(file))]
    return [path for path in found if path.is_file()]


def intact(file: Path, thorough: bool = False) -> bool:
    """Whether a file is as its index says: by its size, and up to HASHED bytes by every hash.

    A thorough look hashes a larger file, too. Raises OSError, ValueError.
    """
    index = _read(index_of(file))
    if file.stat().st_size != index.bytes or len(index.known) != index.count:
        return False
    if index.bytes > HASHED and not thorough:
        return True
    with file.open("rb") as opened:
        return all(
            hashlib.sha256(opened.read(index.shard)).hexdigest() == index.known[number]
            for number in range(index.count)
        )
