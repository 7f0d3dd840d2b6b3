"""What is known of the records below some folders, in a folder of the cache.

It is never beside the records: whoever sends records may lay anything beside them, and what lies
here is believed.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from robench.base.errors import CacheError, UserError, bad_input
from robench.base.files import keep_plain
from robench.base.hashing import digest
from robench.base.locks import locked
from robench.base.parallel import workers
from robench.base.paths import cache_folder
from robench.collection.code import own_code
from robench.collection.known import Seen, read_known, with_known, write_known
from robench.collection.shards import Columns, Row, Shards, shard_of
from robench.collection.values import COLUMNS, stored
from robench.records.store import RECORD, parse, read_json

FOLDER, VALUES = "collection", "values"
DAY = 86_400.0
LOT = 50
"""Records that are read together."""
Made = Mapping[str, Mapping[str, Row]] | str
"""By table and key the rows made of a record, or why there are none."""


@dataclass(frozen=True)
class Collection:
    """The store of the records below some folders."""

    folder: Path

    @classmethod
    def of(cls, roots: Iterable[Path]) -> Collection:
        """The collection of these roots, in the cache of the environment."""
        places = sorted({str(root.resolve()) for root in roots})
        return cls(cache_folder() / FOLDER / digest(places))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from using it; they wait, and then find all that was made.

        Raises CacheError when its folder cannot be written.
        """
        with ExitStack() as holding:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                keep_plain(self.folder / "lock")
                holding.enter_context(locked(self.folder / "lock"))
            except OSError as error:
                raise CacheError(
                    f"expected to write below {self.folder}, got: {error}; set ROBENCH_CACHE to "
                    "another folder"
                ) from error
            yield

    def table(self, name: str, columns: Columns, version: str = "") -> Shards:
        """One of its tables; what another version of robench or of `version` wrote is not in it."""
        return Shards(self.folder / digest([own_code(), version, dict(columns)]), name, columns)

    @property
    def values(self) -> Shards:
        """A row a record, by the digest of its record.json: what it was asked, and its values."""
        return self.table(VALUES, COLUMNS)

    def recall(self, found: Iterable[Seen]) -> list[Seen]:
        """Folders with what is known of those that still are as they were."""
        known = read_known(self.folder / "known")
        return [with_known(one, known) for one in found]

    def know(self, seen: Iterable[Seen]) -> None:
        """Remember folders, and forget all others and what older versions wrote."""
        with suppress(OSError):  # a full disk, or one that may not be written: slower next time
            write_known(self.folder / "known", seen)
            self._forget()

    def _forget(self) -> None:
        old = time.time() - DAY
        for path in self.folder.iterdir():
            if path.stat().st_mtime < old and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)


def fill(
    tables: Mapping[str, Shards],
    wanted: Mapping[str, Any],
    place: Callable[[str], int],
    make: Callable[[Sequence[Any]], Sequence[Made]],
    also: Mapping[str, Shards] = {},
) -> dict[str, str]:
    """Make the rows that tables lack, shard by shard.

    `wanted` says by key of what its rows are made, LOT keys at a time; `place` in which shard they
    stand. Tables in `also` take rows that are made besides, under keys of their own.
    Returns, by key, why a row was not made; another time it may be.
    """
    there = set.intersection(*(set(table.keys()) for table in tables.values()))
    missing = sorted((place(key), key) for key in wanted if key not in there)
    left: dict[str, str] = {}
    every = [wanted[key] for _, key in missing]
    lots = [every[at : at + LOT] for at in range(0, len(every), LOT)]
    with workers(len(missing), chunk=1) as each:
        made = zip(missing, chain.from_iterable(each(make, lots)), strict=True)
        for number, some in groupby(made, key=lambda one: one[0][0]):
            rows: dict[str, dict[str, Row]] = {name: {} for name in (*tables, *also)}
            for (_, key), row in some:
                if isinstance(row, str):
                    left[key] = row
                    continue
                for name, its in row.items():
                    rows[name].update(its)
            for name, table in (*tables.items(), *also.items()):
                table.write(number, rows[name])
    return left


def read_digests(seen: Iterable[Seen]) -> list[Seen]:
    """Folders with the digest of each record.json, where it can be read."""
    return [one if one.digest else replace(one, digest=_digest(one.folder)) for one in seen]


def fill_values(collection: Collection, seen: Sequence[Seen]) -> dict[Path, str]:
    """Keep the values of records; returns, by folder, why some are not kept."""
    wanted = {one.digest: (one.folder, one.digest) for one in seen if one.digest}
    tables = {VALUES: collection.values}
    left = fill(tables, wanted, shard_of, _stored)
    unread = {one.folder: _why(one.folder) for one in seen if not one.digest}
    return unread | {wanted[key][0]: why for key, why in left.items()}


def _stored(lot: Sequence[tuple[Path, str]]) -> list[Made]:
    return [_stored_one(*at) for at in lot]


def _stored_one(folder: Path, wanted: str) -> Made:
    path = folder / RECORD
    try:
        with bad_input(f"expected a record that can be read in {path}"):
            data = read_json(path)
            if hashlib.sha256(data).hexdigest() != wanted:
                return f"expected {path} to stay as it is while it is read; do it again"
            return {VALUES: {wanted: stored(parse(data, path))}}
    except UserError as error:
        return str(error)


def _why(folder: Path) -> str:
    """Why a record cannot be read."""
    try:
        read_json(folder / RECORD)
    except UserError as error:
        return str(error)
    return f"expected {folder} to stay as it is while it is read; do it again"


def _digest(folder: Path) -> str:
    """SHA-256 of a record.json; nothing where it cannot be read."""
    try:
        return hashlib.sha256(read_json(folder / RECORD)).hexdigest()
    except UserError:
        return ""
