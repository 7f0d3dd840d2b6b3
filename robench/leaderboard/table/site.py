"""All rows of a page, grouped and ranked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from robench.leaderboard.read.intake import Refused
from robench.leaderboard.read.refusals import Refusal
from robench.leaderboard.table.cells import AT_FIRST, Column, ordered
from robench.leaderboard.table.entries import Entry, Loss, entries, loss, parents, proves
from robench.leaderboard.table.labels import (
    Label,
    Varying,
    about,
    group_label,
    row_label,
    tab_label,
    varying,
)
from robench.leaderboard.table.ranking import ranks
from robench.leaderboard.table.row import BoardRow
from robench.records.protocols import Protocol

OPEN = "open"
"""The tab of the runs under no protocol, as the page's address has it."""


@dataclass(frozen=True)
class Group:
    """Entries whose numbers are about one threat on one data set, best first: those of a protocol,
    or of its open runs a part."""

    label: str
    entries: tuple[Entry, ...]

    @cached_property
    def rows(self) -> tuple[BoardRow, ...]:
        """All rows, entry by entry."""
        return tuple(row for entry in self.entries for row in entry.rows)

    @cached_property
    def varying(self) -> Varying:
        """The options in which its rows differ, by what a row proves: what its name must say."""
        return varying(self.rows)

    @cached_property
    def parents(self) -> dict[str, BoardRow]:
        """By id of a compressed row its float parent."""
        return parents(self.rows)

    @cached_property
    def lines(self) -> list[Entry]:
        """The entries without those that are shown below the networks made of them: what proves
        less hides nothing that proves more."""
        parents = ((row, self.parents.get(row.id)) for row in self.rows)
        folded = {parent.id for row, parent in parents if parent and proves(row, parent)}
        return [one for one in self.entries if not all(row.id in folded for row in one.rows)]

    def loss(self, entry: Entry) -> Loss | None:
        """What compression changed of an entry with float parents."""
        return loss(entry, self.parents)

    @property
    def headline(self) -> Column | None:
        """The column that ranks its rows; None where nothing attacked them."""
        return next((found for row in self.rows if (found := row.headline)), None)

    @property
    def at_first(self) -> set[Column]:
        """The columns that its table shows at first besides."""
        return {column for row in self.rows for column in row.cells if column.metric in AT_FIRST}


@dataclass(frozen=True)
class Tab:
    """The rows of one version of a named protocol, or all open runs."""

    protocol: Protocol | None
    groups: tuple[Group, ...]

    @property
    def key(self) -> str:
        """Its name in the page's address."""
        return self.groups[0].entries[0].first.key or OPEN

    @property
    def label(self) -> str:
        """Its name for people."""
        return tab_label(self.protocol)

    @property
    def about(self) -> tuple[tuple[str, str], ...]:
        """What its protocol fixes, as terms and texts; nothing of open runs."""
        return about(self.protocol) if self.protocol else ()

    @property
    def rows(self) -> list[BoardRow]:
        """All its rows."""
        return [row for group in self.groups for row in group.rows]


@dataclass(frozen=True)
class Site:
    """Everything the pages show."""

    tabs: tuple[Tab, ...]
    columns: tuple[Column, ...]
    labels: dict[str, Label]
    ranks: dict[str, int | None]
    refused: tuple[Refused, ...]
    refusals: tuple[Refusal, ...]
    """What the sweeps behind the records could not run."""

    @property
    def groups(self) -> list[tuple[int, Group]]:
        """All groups, tab by tab, each with the number of its tab."""
        return [(number, group) for number, tab in enumerate(self.tabs) for group in tab.groups]

    @property
    def rows(self) -> list[BoardRow]:
        """All rows, tab by tab."""
        return [row for tab in self.tabs for row in tab.rows]


def make_site(
    rows: Sequence[BoardRow], refused: Sequence[Refused], refusals: Sequence[Refusal] = ()
) -> Site:
    """Group, order, rank and name the rows."""
    every = entries(rows)
    ranked = ranks(every)
    tabs = _tabs(every, ranked)
    groups = [group for tab in tabs for group in tab.groups]
    return Site(
        tabs=tabs,
        columns=tuple(
            ordered((row.proof.level, row.cells) for group in groups for row in group.rows)
        ),
        labels={row_id: label for one in groups for row_id, label in _labels(one)},
        ranks=ranked,
        refused=tuple(refused),
        refusals=tuple(refusals),
    )


def _labels(group: Group) -> Iterator[tuple[str, Label]]:
    """What each row is called, by its id."""
    known: dict[tuple[object, ...], Label] = {}
    for row in group.rows:
        # Rows of the store share what they chose, so that few are called otherwise.
        its = id(row.chosen), id(row.train), id(row.file), row.proof.level
        if its not in known:
            known[its] = row_label(row, group.varying)
        yield row.id, known[its]


def _tabs(every: Sequence[Entry], ranked: Mapping[str, int | None]) -> tuple[Tab, ...]:
    """A tab a protocol, that of most rows first; open runs last."""

    def order(entry: Entry) -> tuple[object, ...]:
        row = entry.first
        return row.key, group_label(row), ranked[row.id] is None, entry.place

    tabs = []
    for _, its in groupby(sorted(every, key=order), key=lambda entry: entry.first.key):
        groups = [
            Group(label, tuple(same))
            for label, same in groupby(its, key=lambda entry: group_label(entry.first))
        ]
        tabs.append(Tab(groups[0].entries[0].first.protocol, tuple(groups)))
    return tuple(sorted(tabs, key=lambda tab: (tab.protocol is None, -len(tab.rows), tab.key)))
