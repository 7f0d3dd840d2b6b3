"""Values of many records: a row a record in the store, a row a value for whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.core.record import SYSTEM_KINDS, Record, Value

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

ABOUT = ("record", "level", "status", "seed", "images", "protocol", *SYSTEM_KINDS)
NUMBERS = ("metric", "value", "low", "high", "n", "unit", "better")
"""The columns of every table of values, before those of the axes; `level` is the page's alone."""
ENDS = ("value", "low", "high")
COLUMNS = {
    "record": "string",
    "status": "words",
    "seed": "int64",
    "images": "int64",
    "protocol": "words",
    **dict.fromkeys(SYSTEM_KINDS, "words"),
    "config": "string",
    "form": "words",
    **dict.fromkeys(ENDS, "list double"),
    "n": "list int64",
}
"""What the store keeps of a record; `form` says of what its values are, as JSON."""
LARGEST = 2**63 - 1
"""Whole numbers of a column are no larger, whatever their sign."""
MAX_AXES = 200
"""Names of axes in a record at most: each is a column of the table of all values."""
FORM = ("metric", "unit", "better")
Form = tuple[str, str, str, Mapping[str, Any]]
"""Metric, unit, direction and axes of a value."""


def stored(record: Record) -> dict[str, Any]:
    """A record's row; raises UserError for whole numbers that no column of the store holds, and for
    too many columns."""
    names = {name for value in record.values for name in value.axes}
    if len(names) > MAX_AXES:
        raise UserError(f"expected at most {MAX_AXES} names of axes, got {len(names)}")
    numbers = [("seed", record.seed), ("images", record.data.images)]
    numbers += [(f"n of {value.metric}", value.n or 0) for value in record.values]
    axes = (one for value in record.values for one in value.axes.items())
    numbers += [(name, axis) for name, axis in axes if isinstance(axis, int)]
    for name, number in numbers:
        if abs(number) > LARGEST:
            raise UserError(f"expected {name} of at most {LARGEST}, got {number}")
    return {
        "record": record.id,
        "status": record.status,
        "seed": record.seed,
        "images": record.data.images,
        "protocol": record.protocol,
        **{kind: "+".join(_chosen(record, kind)) for kind in SYSTEM_KINDS},
        "config": json.dumps(record.config, separators=(",", ":")),
        **stored_values(record.values),
    }


def _chosen(record: Record, kind: str) -> Iterable[str]:
    """The choices of a kind; none of a record whose configuration is not a run's."""
    chosen = record.config.get(kind)
    return chosen if isinstance(chosen, Mapping) else ()


def stored_values(values: Sequence[Value]) -> dict[str, Any]:
    """The part of a row that the values are."""
    form = [[value.metric, value.unit, value.better, value.axes] for value in values]
    return {
        "form": json.dumps(form, separators=(",", ":")),
        **{name: [getattr(value, name) for value in values] for name in ENDS},
        "n": [value.n for value in values],
    }


@dataclass(frozen=True)
class Words:
    """A column of few different words (or numbers), as places among these; -1 where none stands."""

    codes: NDArray[np.signedinteger]
    words: Sequence[Any] | pd.Index[str]


class Forms:
    """The different forms of records' values, each read once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._codes: dict[str, NDArray[np.int32]] = {}
        self.every: list[Form] = []

    def codes(self, text: str) -> NDArray[np.int32]:
        """Per value of a record its place among `every`."""
        if text not in self._codes:
            codes = [self._place(one) for one in json.loads(text)]
            self._codes[text] = np.array(codes, np.int32)
        return self._codes[text]

    def _place(self, form: list[Any]) -> int:
        key = json.dumps(form)
        if key not in self._places:
            self._places[key] = len(self.every)
            metric, unit, better, axes = form
            self.every.append((metric, unit, better, axes))
        return self._places[key]

    def axes(self) -> list[str]:
        """The names of the columns that the axes take, in the order in which they come."""
        named = (axis_column(name) for *_, axes in self.every for name in axes)
        return list(dict.fromkeys(named))

    def columns(self, codes: NDArray[np.int32]) -> dict[str, Words]:
        """Per value, of what it is: metric, unit, direction and axes, for places among `every`."""
        found: dict[str, dict[int, Any]] = {name: {} for name in FORM}
        for place, (*about, axes) in enumerate(self.every):
            for name, word in zip(FORM, about, strict=True):
                found[name][place] = word
            for name, word in axes.items():
                found.setdefault(axis_column(name), {}).setdefault(place, word)
        return {name: self._words(codes, its) for name, its in found.items()}

    def _words(self, codes: NDArray[np.int32], of: Mapping[int, Any]) -> Words:
        """`of` has the words of forms, by the place of each that has one."""
        places, words = dict[str, int](), list[Any]()
        table = np.full(len(self.every), -1)
        for place, word in of.items():
            if word is None:
                continue
            # 1, 1.0 and true are three words, 0.0 and -0.0 two.
            if (exact := repr(word)) not in places:
                places[exact] = len(words)
                words.append(word)
            table[place] = places[exact]
        return Words(_codes(table, len(words))[codes], words)


def words_of(texts: Iterable[str], counts: NDArray[np.int64]) -> Words:
    """A column of a text a record, as many times as it has values."""
    places: dict[str, int] = {}
    at = [places.setdefault(one, len(places)) for one in texts]
    return repeated(at, list(places), counts)


def repeated(
    at: Sequence[int], words: Sequence[str] | pd.Index[str], counts: NDArray[np.int64]
) -> Words:
    """A column of words at a place a record, as many times as it has values."""
    return Words(np.repeat(_codes(at, len(words)), counts), words)


def _codes(places: Sequence[int] | NDArray[np.int64], words: int) -> NDArray[np.signedinteger]:
    """Places among so many words: of millions of values few bytes each."""
    return np.array(places, np.min_scalar_type(-max(words, 1)))


def axis_column(name: str) -> str:
    """The column of an axis; one whose name is taken gets `axis_` before it."""
    return f"axis_{name}" if name in (*ABOUT, *NUMBERS, "path") else name
