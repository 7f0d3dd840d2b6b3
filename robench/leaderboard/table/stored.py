"""Rows as the store keeps them, and back: what comes back is what went in, but for its strips."""

from __future__ import annotations

import json
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from robench.base.arrow import pressed, unpressed
from robench.core.record import FileInfo
from robench.leaderboard.read.challenged import Break
from robench.leaderboard.read.threat import Threat
from robench.leaderboard.read.twins import Aside
from robench.leaderboard.table.cells import Cell, Column, column_of
from robench.leaderboard.table.proof import Proof
from robench.leaderboard.table.rounding import rounded
from robench.leaderboard.table.row import BoardRow
from robench.records.protocols import Protocol
from robench.records.trust import Attestation

PLAIN = {
    **dict.fromkeys(("id", "weights", "system", "network", "recipe", "origin"), "string"),
    **dict.fromkeys(("why_open", "access"), "string"),
    **dict.fromkeys(("word", "sentence", "missing", "subset"), "string"),
    **dict.fromkeys(("images", "seed", "bits", "judged"), "int64"),
    "right": "binary",
}
CODED = (
    "members",
    "contents",
    "meaning",
    "protocol",
    "chosen",
    "train",
    "file",
    "threat",
    "attacks",
    "queries_only",
    "axes",
    "layers",
    "proof",
)
"""Columns of JSON."""
ALIKE = ("protocol", "chosen", "train", "threat", "proof", "meaning", "columns")
"""Those in which few texts are different."""
OWN = ("members", "contents")
"""Those that no two rows have alike, so that none is remembered."""
FIELDS = (*PLAIN, *CODED)
LONG = ("cells", "shown")
"""Columns of long texts, pressed, which are read when they are asked for."""
COLUMNS = {
    **PLAIN,
    **dict.fromkeys(CODED, "string"),
    **dict.fromkeys(ALIKE, "words"),
    **dict.fromkeys(LONG, "binary"),
}
MAX_ROWS = 128
"""Rows whose cells are kept once they were read: as many as a group's pictures show, and more."""
Long = Callable[[str], bytes]
"""Gives the text of one of LONG, pressed."""


class StoredCells(Mapping[Column, Cell]):
    """A row's cells, read when they are asked for: most of a hundred thousand rows never are."""

    __slots__ = ("_columns", "_long")

    def __init__(self, columns: Mapping[Column, int], long: Long) -> None:
        self._columns, self._long = columns, long

    @property
    def shown(self) -> str:
        """As `shown` has them."""
        return unpressed(self._long("shown")).decode()

    def __getitem__(self, column: Column) -> Cell:
        return self._cells()[self._columns[column]]

    def items(self) -> ItemsView[Column, Cell]:
        """Columns and cells, all read at once."""
        return dict(zip(self._columns, self._cells(), strict=True)).items()

    def _cells(self) -> list[Cell]:
        return _cells(self._long("cells"))

    def __iter__(self) -> Iterator[Column]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __contains__(self, column: object) -> bool:
        return column in self._columns


def shown(cells: Mapping[Column, Cell]) -> str:
    """Cells as data files have them: as JSON `[value, low, high, word, sentence]` in the order of
    their columns, the last two where something is to be said."""
    if isinstance(cells, StoredCells):
        return cells.shown
    return _text([shown_cell(cell, column.unit) for column, cell in cells.items()])


def shown_cell(cell: Cell, unit: str) -> list[Any]:
    """One of them."""
    numbers: list[Any] = [rounded(value, unit) for value in (cell.value, cell.low, cell.high)]
    return [*numbers, cell.word, cell.sentence] if cell.word or cell.sentence else numbers


@lru_cache(MAX_ROWS)
def _cells(text: bytes) -> list[Cell]:
    return [Cell(*one) for one in from_json(unpressed(text))]


def encode(row: BoardRow) -> dict[str, Any]:
    """A row of the store; `folders` are not in it, for records move."""
    cells = row.cells.items()
    numbers = [[one.value, one.low, one.high, one.word, one.sentence] for _, one in cells]
    proof = dict(vars(row.proof))
    proof |= {name: [*map(asdict, proof[name])] for name in ("aside", "breaks")}
    proof["attestations"] = [one.model_dump() for one in row.proof.attestations]
    coded: dict[str, Any] = {name: getattr(row, name) for name in CODED} | {
        "meaning": [[*place, its] for place, its in row.meaning.items()],
        "protocol": row.protocol and _fields(row.protocol),
        "file": row.file and row.file.model_dump(),
        "threat": row.threat and [row.threat.norm, row.threat.eps],
        "queries_only": sorted(row.queries_only),
        "axes": sorted(row.axes),
        "proof": proof,
    }
    long = {"cells": to_json(numbers), "shown": shown(row.cells).encode()}
    return {
        **{name: getattr(row, name) for name in PLAIN},
        **{name: to_json(value).decode() for name, value in coded.items()},
        "columns": _columns_text(tuple(row.cells)),
        **{name: pressed(text) for name, text in long.items()},
    }


@lru_cache(4096)
def _columns_text(columns: tuple[Column, ...]) -> str:
    """Many rows have the same columns."""
    return to_json([[one.metric, one.unit, one.better, one.axes] for one in columns]).decode()


def _fields(protocol: Protocol) -> dict[str, Any]:
    return {field.name: getattr(protocol, field.name) for field in fields(protocol)}


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class Decoder:
    """Reads rows of the store; equal parts of them are one object."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders
        """Of the records, by content."""
        self._known: dict[str, dict[str | None, Any]] = {}
        """By column what its texts say; nothing where none stands, as of a record without a row."""

    def columns(self, stored: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """A shard's columns with what their texts say; those that are no rows' own stay."""
        return {
            name: self._read(name, its) if name in (*CODED, "columns") else its
            for name, its in stored.items()
        }

    def __call__(self, columns: Mapping[str, Sequence[Any]], at: int, long: Long) -> BoardRow:
        """The row at a place of `columns`, without LONG, which it asks for later."""
        return BoardRow(
            **{name: columns[name][at] for name in FIELDS},
            folders=tuple(self._folders[one] for one in columns["contents"][at]),
            strips=(),
            cells=StoredCells(columns["columns"][at], long),
        )

    def _read(self, name: str, texts: Sequence[str | None]) -> list[Any]:
        if name in OWN:
            return [text and tuple(from_json(text)) for text in texts]
        known, read = self._known.setdefault(name, {None: None}), READERS.get(name, tuple)
        for text in set(texts) - known.keys():
            known[text] = read(from_json(text or ""))
        return [known[text] for text in texts]


def _proof(given: dict[str, Any]) -> Proof:
    made = {
        "levels": tuple(given["levels"]),
        "unfounded": tuple(given["unfounded"]),
        "attestations": tuple(map(Attestation.model_validate, given["attestations"])),
        "aside": tuple(Aside(**one) for one in given["aside"]),
        "breaks": tuple(Break(**one) for one in given["breaks"]),
    }
    return Proof(**{**given, **made})


def _columns(given: list[Any]) -> dict[Column, int]:
    axes = ((*rest, tuple(map(tuple, axes))) for *rest, axes in given)
    return {column_of(*one): at for at, one in enumerate(axes)}


def _plain(given: Any) -> Any:
    return given


READERS: Mapping[str, Callable[[Any], Any]] = {
    "meaning": lambda given: {(attack, access): its for attack, access, its in given},
    "protocol": lambda given: given and Protocol(**given),
    "chosen": _plain,
    "train": _plain,
    "file": lambda given: given and FileInfo.model_validate(given),
    "threat": lambda given: given and Threat(*given),
    "queries_only": frozenset,
    "axes": frozenset,
    "layers": lambda given: tuple(map(tuple, given)),
    "proof": _proof,
    "columns": _columns,
}
