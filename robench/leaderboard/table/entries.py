"""What stands in a table as one: networks that were made alike, by their mean; and beside what is
compressed its float parent, with what compression cost on the same images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from robench.base.stats import Paired, mcnemar, paired_counts
from robench.leaderboard.table.cells import Cell, Column
from robench.leaderboard.table.formats import WORDS
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.standing import no_claim
from robench.records.trust import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
"""A paired test below it separates two entries."""
FLOAT = "none"
"""The compressor of a network that nothing compressed."""


@dataclass(frozen=True)
class Entry:
    """A row, or several of networks trained and deployed alike under other seeds or on other
    machines, best first; never of two levels of proof, so that a lower one moves no higher one."""

    rows: tuple[BoardRow, ...]

    @property
    def first(self) -> BoardRow:
        """The row that it is named by."""
        return self.rows[0]

    @cached_property
    def score(self) -> float:
        """The mean share that ranks it."""
        return sum(row.score for row in self.rows) / len(self.rows)

    @property
    def place(self) -> tuple[float, int, str]:
        """Orders entries by their score; of equal ones that with the better proof is first."""
        return -self.score, -LEVELS.index(self.first.proof.level), self.first.id

    @cached_property
    def least(self) -> BoardRow:
        """The row of whose number least can be said."""
        return max(self.rows, key=lambda row: list(WORDS).index(row.word))

    @cached_property
    def cells(self) -> Mapping[Column, Cell]:
        """A row's own; of several rows the means of what all have, from the least to the most."""
        if len(self.rows) == 1:
            return self.first.cells
        each = [dict(row.cells.items()) for row in self.rows]
        shared = [column for column in each[0] if all(column in cells for cells in each)]
        found = {column: [cells[column] for cells in each] for column in shared}
        return {column: _mean(its) for column, its in found.items() if _known(its)}

    @property
    def headline(self) -> Cell:
        """The number that ranks it; without a value where nothing attacked it."""
        column = self.first.headline
        return self.cells[column] if column else Cell(None)


def _known(cells: Iterable[Cell]) -> bool:
    return all(cell.value is not None for cell in cells)


def _mean(cells: Sequence[Cell]) -> Cell:
    values = [cell.value or 0.0 for cell in cells]
    least = max(cells, key=lambda cell: ["", *WORDS].index(cell.word))
    mean = Cell(sum(values) / len(values), min(values), max(values))
    return replace(mean, word=least.word, sentence=least.sentence)


def entries(rows: Iterable[BoardRow]) -> list[Entry]:
    """The entries of rows, whatever their order; a row that makes no claim stands alone."""
    found: dict[tuple[object, ...], list[BoardRow]] = {}
    for row in rows:
        found.setdefault((row.id,) if no_claim(row) else _made_as(row), []).append(row)
    return [Entry(tuple(sorted(its, key=best_first))) for its in found.values()]


def best_first(row: BoardRow) -> tuple[float, str]:
    """Orders rows by their score, then by their id."""
    return -row.score, row.id


def _made_as(row: BoardRow) -> tuple[object, ...]:
    """What rows of one entry share: how they were made, what they were judged by, and the proof."""
    return row.recipe, row.proof.level, *_judged_by(row)


def _judged_by(row: BoardRow) -> tuple[object, ...]:
    """Under a protocol the protocol; an open run chose its images and attacks by itself."""
    chosen = () if row.protocol else (row.attacks, row.access, *sorted(row.meaning.items()))
    return row.key, row.threat, row.judged, *chosen


def separated(first: Entry, second: Entry) -> bool:
    """Whether the first is better on their images: by the exact McNemar test, of several networks
    over the images on which more of the one's are right than of the other's."""
    if len(first.rows) == len(second.rows) == 1:
        pair = on_same_images(first.first, second.first)
        only_first, only_second = pair.only_first, pair.only_second
    else:
        right = _counts(first) * len(second.rows) - _counts(second) * len(first.rows)
        only_first, only_second = int((right > 0).sum()), int((right < 0).sum())
    return only_first > only_second and mcnemar(only_first, only_second) < ALPHA


def _counts(entry: Entry) -> NDArray[np.int64]:
    """Per image how many of its networks are right."""
    packed = np.stack([_packed(row) for row in entry.rows])
    counts: NDArray[np.int64] = np.unpackbits(packed, axis=1).astype(np.int64).sum(0)
    return counts


def _packed(row: BoardRow) -> NDArray[np.uint8]:
    return np.frombuffer(row.right, np.uint8)


def on_same_images(first: BoardRow, second: BoardRow) -> Paired:
    """Two rows' scores on the images that both were judged on; ValueError without any."""
    left, right = int.from_bytes(first.right), int.from_bytes(second.right)
    both, one, other = (of.bit_count() for of in (left & right, left, right))
    return paired_counts(both, one - both, other - both, first.judged)


def parents(rows: Iterable[BoardRow]) -> dict[str, BoardRow]:
    """By id of a compressed row its float parent: the network of the same configuration, training
    and seed that nothing compressed, judged on the same images by the same protocol or attacks.

    Of several that of the highest level of proof. None that proves less than the row itself, or is
    disputed, and none where two that prove as much answer differently: whoever adds a float network
    changes no number of a row that proves more.
    """
    rows = list(rows)
    floats: dict[tuple[object, ...], list[BoardRow]] = {}
    for row in filter(_is_float, rows):
        for key in _offspring(row):
            floats.setdefault(key, []).append(row)
    known = {key: parent for key, its in floats.items() if (parent := _undoubted(its))}
    return {
        row.id: known[key]
        for row in rows
        for key in _ancestry(row)
        if key in known and row.right and known[key] is not row and proves(known[key], row)
    }


def _is_float(row: BoardRow) -> bool:
    return (
        row.names("compressor") == FLOAT
        and bool(row.right)
        and not (row.file and row.file.parent)
        and not row.proof.disputed
    )


def _undoubted(floats: Iterable[BoardRow]) -> BoardRow | None:
    """The one that proves most, the first by id; None where others prove as much and differ."""
    first, *others = sorted(floats, key=_most_proven)
    rivals = [one for one in others if one.proof.level == first.proof.level]
    return None if any(one.right != first.right for one in rivals) else first


def _most_proven(row: BoardRow) -> tuple[int, str]:
    return -LEVELS.index(row.proof.level), row.id


def proves(first: BoardRow, second: BoardRow) -> bool:
    """Whether a row proves as much as another."""
    return LEVELS.index(first.proof.level) >= LEVELS.index(second.proof.level)


def _offspring(row: BoardRow) -> Iterator[tuple[object, ...]]:
    """What a row made of this one is known by."""
    if row.file is None:
        yield row.origin, *_seen(row)
    else:
        yield row.file.sha256, *_seen(row)


def _ancestry(row: BoardRow) -> Iterator[tuple[object, ...]]:
    """What the row that this one was made of is known by."""
    if row.names("compressor") != FLOAT:
        yield row.origin, *_seen(row)
    elif row.file and row.file.parent:
        yield row.file.parent, *_seen(row)


def _seen(row: BoardRow) -> tuple[object, ...]:
    """What two rows share that can be paired."""
    images = row.meaning.get(("", "images"), "")
    chosen = () if row.protocol else (row.attacks, row.access)
    return row.key, row.threat, row.judged, images, *chosen


@dataclass(frozen=True)
class Loss:
    """What compression changed: an entry's score minus its float parents', image by image."""

    difference: float
    """In [-1,1]."""
    low: float
    high: float
    """Newcombe's 95 % interval; of several networks the least and the most."""
    networks: int


def loss(entry: Entry, parent: Mapping[str, BoardRow]) -> Loss | None:
    """What compression changed of an entry, whose rows all have a parent (of `parents`)."""
    if not all(row.id in parent for row in entry.rows):
        return None
    each = [on_same_images(row, parent[row.id]) for row in entry.rows]
    if len(each) == 1:
        return Loss(each[0].difference, each[0].low, each[0].high, 1)
    found = [one.difference for one in each]
    return Loss(sum(found) / len(found), min(found), max(found), len(found))
