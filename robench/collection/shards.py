"""A table in Parquet files: a row a key, and each file named by the SHA-256 of its own bytes.

What was cut short, edited by hand, put under another name or is no plain file is not what its name
says, so it is deleted, and whoever reads the table makes the missing rows again. One process at a
time uses a table: see `Collection.held`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robench.base.arrow import column
from robench.base.errors import CacheError
from robench.base.files import keep_plain, remove, write_whole
from robench.base.hashing import file_hash

KEY = "key"
"""The first column of every table: text, the rows' order."""
COUNT = 32
"""Shards of a table: one more row rewrites a 32nd of it."""
MAX_BYTES = 2**31
"""Bytes of a shard at most: of a million records it has a thirtieth of these."""
Row = Mapping[str, Any]
Columns = Mapping[str, str]
"""By name, the type of a column as Arrow calls it: string, large_binary, double, ...; `words` are
texts of which few are different, each kept once."""


@dataclass(frozen=True)
class Shards:
    """One table; `folder` need not exist, and holds tables of one version alone."""

    folder: Path
    name: str
    columns: Columns
    """Besides the key."""
    _sound: set[Path] = field(default_factory=set, compare=False)
    """Files that were held against their names."""
    _keys: dict[int, list[str]] = field(default_factory=dict, compare=False)
    """Of each shard, once they were asked for."""

    def read(
        self, columns: Iterable[str] | None = None
    ) -> Iterator[tuple[int, dict[str, list[Any]]]]:
        """Number and columns (all if not given, the key always) of each shard that has rows."""
        for number, table in self.tables(columns):
            yield number, {name: listed(table[name]) for name in table.column_names}

    def tables(self, columns: Iterable[str] | None = None) -> Iterator[tuple[int, Any]]:
        """The same as Arrow tables."""
        names = None if columns is None else [KEY, *columns]
        for number, path in self._files().items():
            yield number, _read(path, names)

    def later(self, number: int, names: Sequence[str]) -> Later:
        """Binary columns of a shard that has rows, read when one of their values is asked for."""
        return Later(self._files()[number], names)

    def keys(self) -> dict[str, int]:
        """Every key with its shard."""
        if not self._keys:
            self._keys.update({number: columns[KEY] for number, columns in self.read(())})
        return {key: number for number, keys in self._keys.items() for key in keys}

    def write(
        self, number: int, rows: Mapping[str, Row], keep: Callable[[str], bool] = bool
    ) -> None:
        """Put rows, by key, into a shard, with those already there whose key is to be kept.

        Raises CacheError when the disk refuses.
        """
        self.keys()
        old = self._files().get(number)
        every = {} if old is None else {row[KEY]: row for row in _read(old, None).to_pylist()}
        kept = {key: row for key, row in every.items() if keep(key)}
        if not rows and len(kept) == len(every):
            return
        new = {**kept, **{key: {KEY: key, **row} for key, row in rows.items()}}
        self._keys[number] = sorted(new)
        try:
            path = self._written(number, [new[key] for key in sorted(new)])
        except OSError as error:
            raise CacheError(
                f"expected to write below {self.folder}, got: {error}; free some space or set "
                "ROBENCH_CACHE to another folder"
            ) from error
        for other in self._all().get(number, []):
            if other != path:
                other.unlink(missing_ok=True)

    def _written(self, number: int, rows: Sequence[Row]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        schema = self._schema()
        columns = [column([row.get(one.name) for row in rows], one.type) for one in schema]
        table = pa.Table.from_arrays(columns, schema=schema)
        # What is binary is deflated: no two values are alike, nor does it get shorter.
        plain = [one.name for one in schema if "binary" not in str(one.type)]
        packed = {name: "zstd" if name in plain else "none" for name in schema.names}
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression=packed, use_dictionary=plain)
        data = sink.getvalue()
        path = self.folder / self._named(number, hashlib.sha256(data).hexdigest())
        write_whole(path, data)
        self._sound.add(path)
        return path

    def _named(self, number: int, digest: str) -> str:
        """The name of a shard whose bytes have this SHA-256: of no other table and place."""
        its = f"{self.name}-{number:02d}"
        return f"{its}-{hashlib.sha256(f'{its}/{digest}'.encode()).hexdigest()[:32]}.parquet"

    def _schema(self) -> Any:
        import pyarrow as pa

        kinds = {KEY: "string", **self.columns}
        return pa.schema([(name, _type(kind)) for name, kind in kinds.items()])

    def _files(self) -> dict[int, Path]:
        """By shard its newest file that is what its name says; others of these are deleted."""
        found = {
            number: next((path for path in paths if self._is_sound(number, path)), None)
            for number, paths in self._all().items()
        }
        return {number: path for number, path in found.items() if path is not None}

    def _all(self) -> dict[int, list[Path]]:
        """By shard its files, the newest first: several only where a process was killed."""
        found: dict[int, list[Path]] = {}
        with suppress(FileNotFoundError):
            for entry in sorted(os.listdir(self.folder)):
                name, _, rest = entry.partition("-")
                if name == self.name and rest[:2].isdigit() and entry.endswith(".parquet"):
                    found.setdefault(int(rest[:2]), []).append(self.folder / entry)
        for paths in found.values():
            if len(paths) > 1:
                paths.sort(key=lambda path: path.lstat().st_mtime, reverse=True)
        return found

    def _is_sound(self, number: int, path: Path) -> bool:
        if path in self._sound:
            return True
        with suppress(OSError):
            sane = keep_plain(path) and path.stat().st_size <= MAX_BYTES
            if sane and path.name == self._named(number, file_hash(path)):
                self._sound.add(path)
                return True
            remove(path)
        return False


class Later:
    """Binary columns of a shard: they are long, and often none of their values is asked for."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path, self._names = path, names
        self._table: Any = None

    def __call__(self, at: int, name: str) -> bytes:
        """The value of a column at a place."""
        self.read()
        value: bytes = self._table[name][at].as_py()
        return value

    def read(self) -> None:
        """Read them now, as must be done before the shard is written anew."""
        if self._table is None:
            self._table = _read(self._path, self._names).combine_chunks()


def listed(column: Any) -> list[Any]:
    """An Arrow column as a list; equal words are one object."""
    if not hasattr(column.type, "value_type") or not hasattr(column.type, "index_type"):
        found: list[Any] = column.to_pylist()
        return found
    array = column.combine_chunks()
    words = array.dictionary.to_pylist()
    return [None if at is None else words[at] for at in array.indices.to_pylist()]


def _read(path: Path, names: Sequence[str] | None) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False) as file:
        return file.read(columns=names, use_threads=False)


def shard_of(digest: str) -> int:
    """The shard of what has this hexadecimal digest."""
    return int(digest[:4], 16) % COUNT


def _type(kind: str) -> Any:
    import pyarrow as pa

    if kind.startswith("list "):
        return pa.list_(_type(kind.removeprefix("list ")))
    if kind == "words":
        return pa.dictionary(pa.int32(), pa.string())
    return getattr(pa, {"double": "float64"}.get(kind, kind))()
