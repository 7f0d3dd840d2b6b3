"""The main table as data: what the page's scripts sort, filter and show.

Of each tab `data/<key>-keys.js` holds what orders and chooses rows, as one list a column over all
its rows, and `data/<key>-<k>.js` what a shown row says besides, BLOCK rows a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.answers import Answer, answers
from robench.leaderboard.table.cells import Column
from robench.leaderboard.table.entries import Entry, Loss
from robench.leaderboard.table.formats import LEVEL_MARKS, SCALE, VERDICTS, WORDS
from robench.leaderboard.table.labels import OPEN_RUNS, SMALL_UNITS, chosen_label, heading
from robench.leaderboard.table.rounding import rounded
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.site import Group, Site, Tab
from robench.leaderboard.table.stored import shown, shown_cell
from robench.leaderboard.write.pages import compact, packed, script
from robench.records.words import CALLED

BLOCK = 1_000
"""Rows a file."""
FILTERS = ("bits", "level", "word", *SYSTEM_KINDS, "access")
"""What rows are chosen by."""
CODED = ("name", "details", "mark", *FILTERS, "seed")
"""What is kept once with the rows that have it."""
FULL = 0.5
"""Share of a tab's rows from which on a column's numbers are listed without the rows' places."""


def site_data(site: Site, shards: int) -> tuple[str, str]:
    """Path and text of what all pages know: columns, tabs, words; `shards` files hold documents."""
    distinct = _distinct(site.rows)
    told = {
        "words": WORDS,
        "verdicts": VERDICTS,
        "called": CALLED,
        "levels": LEVEL_MARKS,
        "open_runs": OPEN_RUNS,
        "scale": SCALE,
        "units": SMALL_UNITS,
        "columns": [_column(column) for column in site.columns],
        "tabs": [_tab(site, tab) for tab in site.tabs],
        "choices": {name: distinct[name] for name in FILTERS if len(distinct[name]) > 1},
        "block": BLOCK,
        "shards": shards,
    }
    return script("site", told)


def _distinct(rows: Sequence[BoardRow]) -> dict[str, list[Any]]:
    """By filter the values that rows have."""
    # Rows of the store share what they chose, so that few are different.
    chose = {id(row.chosen): row for row in rows}.values()
    found: dict[str, set[Any]] = {kind: {row.names(kind) for row in chose} for kind in SYSTEM_KINDS}
    found |= {name: {getattr(row, name) for row in rows} for name in ("bits", "access", "word")}
    found["level"] = {row.proof.level for row in rows}
    return {name: sorted(its) for name, its in found.items()}


def _tab(site: Site, tab: Tab) -> dict[str, Any]:
    return {
        "key": tab.key,
        "label": tab.label,
        "about": tab.about,
        "groups": [_group(site, group) for group in tab.groups],
    }


def _group(site: Site, group: Group) -> dict[str, Any]:
    wanted, places = group.at_first, {column: at for at, column in enumerate(site.columns)}
    return {
        "label": group.label,
        "rows": len(group.rows),
        "ranked": sum(site.ranks[entry.first.id] is not None for entry in group.entries),
        "headline": places.get(group.headline) if group.headline else None,
        "columns": [place for column, place in places.items() if column in wanted],
        "answers": [_answer(site, answer) for answer in answers(group, site.ranks)],
    }


def _answer(site: Site, answer: Answer) -> dict[str, Any]:
    row, cell = answer.entry.first, answer.entry.headline
    label = site.labels[row.id]
    return {
        "question": answer.question,
        "id": row.id,
        "name": label.name,
        "cell": [rounded(one, "share") for one in (cell.value, cell.low, cell.high)],
        "level": row.proof.level,
        **_word(answer.entry),
        "said": [label.details, *answer.said] if label.details else answer.said,
    }


def _word(entry: Entry) -> dict[str, str]:
    least = entry.least
    return {"word": least.word, "mark": least.mark, "sentence": least.sentence}


def _column(column: Column) -> dict[str, Any]:
    title, small = heading(column)
    return {
        "key": column.key,
        "title": title,
        "small": small,
        "unit": column.unit,
        "better": column.better,
    }


def tab_data(site: Site, tab: Tab) -> Iterator[tuple[str, str]]:
    """Paths and texts of a tab's rows, group by group, best first."""
    rows = [(group, row) for group in tab.groups for row in group.rows]
    sets: dict[tuple[Column, ...], int] = {}
    numbers = _Numbers(site.columns)
    for block, first in enumerate(range(0, len(rows), BLOCK)):
        texts = []
        for group, row in rows[first : first + BLOCK]:
            columns, cells = tuple(row.cells), shown(row.cells)
            numbers.add(columns, cells)
            texts.append(_row(row, group, sets.setdefault(columns, len(sets)), cells))
        yield packed(f"{tab.key}-{block}", f"[{','.join(texts)}]")
    keys = {**_keys(site, tab.groups, tab.rows, numbers), "sets": list(map(numbers.of, sets))}
    yield packed(f"{tab.key}-keys", compact(keys))


# -- what orders and chooses -----------------------------------------------------------------------


def _keys(
    site: Site, groups: Sequence[Group], rows: Sequence[BoardRow], numbers: _Numbers
) -> dict[str, Any]:
    at = {row.id: place for place, row in enumerate(rows)}
    about = [_fields(site, row) for row in rows]
    return {
        "id": [row.id for row in rows],
        "rank": [site.ranks[row.id] for row in rows],
        **{name: _coded(one[name] for one in about) for name in CODED},
        "numbers": numbers.listed(),
        "entries": list(_entries(groups, at, numbers.places)),
        **_families(groups, at),
    }


def _fields(site: Site, row: BoardRow) -> dict[str, Any]:
    return {
        **{kind: row.names(kind) for kind in SYSTEM_KINDS},
        **{name: getattr(row, name) for name in ("bits", "access", "seed", "word")},
        "name": site.labels[row.id].name,
        "details": site.labels[row.id].details,
        "mark": row.mark,
        "level": row.proof.level,
    }


def _entries(
    groups: Iterable[Group], at: dict[str, int], places: dict[Column, int]
) -> Iterator[dict[str, Any]]:
    """Of each entry of several rows their places in the tab, and by column its mean cell."""
    for group in groups:
        for entry in group.entries:
            if len(entry.rows) > 1:
                yield {
                    "rows": [at[row.id] for row in entry.rows],
                    **_word(entry),
                    "loss": _loss(group.loss(entry)),
                    "cells": {
                        places[column]: shown_cell(cell, column.unit)
                        for column, cell in entry.cells.items()
                        if column in places
                    },
                }


def _families(groups: Iterable[Group], at: dict[str, int]) -> dict[str, Any]:
    """Of each row with a float parent its place, the parent's, and what compression changed."""
    found: dict[str, list[Any]] = {"children": [], "parents": [], "losses": []}
    for group in groups:
        for row in group.rows:
            if row.id in group.parents:
                found["children"].append(at[row.id])
                found["parents"].append(at[group.parents[row.id].id])
                found["losses"].append(_loss(group.loss(Entry((row,)))))
    return found


def _loss(loss: Loss | None) -> list[float | None] | None:
    """`[difference, low, high]`."""
    if loss is None:
        return None
    return [rounded(one, "share") for one in (loss.difference, loss.low, loss.high)]


def _coded(values: Iterable[Any]) -> dict[str, list[Any]]:
    """The distinct values in the order in which they come, and of each row which of them."""
    codes: dict[Any, int] = {}
    at = [codes.setdefault(value, len(codes)) for value in values]
    return {"of": list(codes), "at": at}


class _Numbers:
    """By a column's number its values, row by row; where few rows have one, with their places."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self.places = {column: place for place, column in enumerate(columns)}
        self._found: dict[int, dict[int, float | None]] = {}
        self._rows = 0

    def of(self, columns: Iterable[Column]) -> list[int]:
        """The numbers of columns, -1 of those that no table has."""
        return [self.places.get(column, -1) for column in columns]

    def add(self, columns: Iterable[Column], cells: str) -> None:
        """Add a row, by its columns and its cells as `shown` has them."""
        for place, cell in zip(self.of(columns), json.loads(cells), strict=True):
            if place >= 0 and cell[0] is not None:
                self._found.setdefault(place, {})[self._rows] = cell[0]
        self._rows += 1

    def listed(self) -> dict[int, Any]:
        """All of them."""
        return {place: _listed(self._found[place], self._rows) for place in sorted(self._found)}


def _listed(of: dict[int, float | None], count: int) -> dict[str, list[Any]]:
    if len(of) < FULL * count:
        return {"rows": list(of), "of": list(of.values())}
    return {"of": [of.get(at) for at in range(count)]}


# -- what is shown ---------------------------------------------------------------------------------


def _row(row: BoardRow, group: Group, columns: int, cells: str) -> str:
    """`[set of columns, cells, notes, labels of its choices]`."""
    more = [row.notes, _models(row, group)]
    return f"[{columns},{cells},{compact(more)[1:]}"


def _models(row: BoardRow, group: Group) -> dict[str, str]:
    """What its choices of a kind are called beside those of other rows, where that says more."""
    labels = {kind: chosen_label(row, kind, group.varying) for kind in row.chosen}
    return {kind: label for kind, label in labels.items() if label != row.names(kind)}
