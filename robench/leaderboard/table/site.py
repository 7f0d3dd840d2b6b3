"""All rows of a page, grouped and ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from robench.leaderboard.read.intake import Refused
from robench.leaderboard.read.refusals import Refusal
from robench.leaderboard.table.cells import Column, at_first, ordered
from robench.leaderboard.table.labels import (
    Place,
    about,
    group_label,
    row_label,
    tab_label,
    varying,
)
from robench.leaderboard.table.proof import Replicate
from robench.leaderboard.table.ranking import ranks
from robench.leaderboard.table.row import BoardRow
from robench.records.protocols import Protocol

OPEN = "open"
"""The tab of the runs under no protocol, as the page's address has it."""


@dataclass(frozen=True)
class Group:
    """Rows whose numbers are about one threat on one data set, best first: those of a protocol, or
    of its open runs a part."""

    label: str
    rows: tuple[BoardRow, ...]

    @cached_property
    def varying(self) -> set[Place]:
        """The options in which its rows differ: what their names must say."""
        return varying(self.rows)

    @property
    def at_first(self) -> set[Column]:
        """The columns that its table shows at first."""
        columns = dict.fromkeys(column for row in self.rows for column in row.cells)
        return at_first(columns, self.rows[0].threat, self.rows[0].radius)


@dataclass(frozen=True)
class Tab:
    """The rows of one version of a named protocol, or all open runs."""

    protocol: Protocol | None
    groups: tuple[Group, ...]

    @property
    def key(self) -> str:
        """Its name in the page's address."""
        return self.groups[0].rows[0].key or OPEN

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
    labels: dict[str, str]
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
    rows = _with_replicates(rows)
    ranked = ranks(rows)
    tabs = _tabs(rows, ranked)
    groups = [group for tab in tabs for group in tab.groups]
    return Site(
        tabs=tabs,
        columns=tuple(ordered(row.cells for group in groups for row in group.rows)),
        labels={row.id: row_label(row, one.varying) for one in groups for row in one.rows},
        ranks=ranked,
        refused=tuple(refused),
        refusals=tuple(refusals),
    )


def _with_replicates(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows, each of which knows those of networks trained apart from its configuration."""
    same: dict[tuple[object, ...], list[BoardRow]] = {}
    for row in rows:
        if row.weights:
            same.setdefault(_trained_as(row), []).append(row)
    replicates = {
        key: tuple(
            Replicate(row.id, row.weights, row.proof.level, row.score)
            for row in sorted(its, key=lambda one: (-one.score, one.id))
        )
        for key, its in same.items()
        if len({row.weights for row in its}) > 1
    }
    return [
        replace(row, proof=replace(row.proof, replicates=replicates[_trained_as(row)]))
        if row.weights and _trained_as(row) in replicates
        else row
        for row in rows
    ]


def _trained_as(row: BoardRow) -> tuple[object, ...]:
    """What replicates share: the configuration, and what they were judged by."""
    return row.key, row.threat, row.attacks, row.system


def _tabs(rows: Sequence[BoardRow], ranked: Mapping[str, int | None]) -> tuple[Tab, ...]:
    """A tab a protocol, that of most rows first; open runs last."""

    def order(row: BoardRow) -> tuple[object, ...]:
        return row.key, group_label(row), ranked[row.id] is None, -row.score, row.id

    tabs = []
    for _, its in groupby(sorted(rows, key=order), key=lambda row: row.key):
        groups = [(label, tuple(same)) for label, same in groupby(its, key=group_label)]
        tabs.append(Tab(groups[0][1][0].protocol, tuple(Group(*group) for group in groups)))
    return tuple(sorted(tabs, key=lambda tab: (tab.protocol is None, -len(tab.rows), tab.key)))
