"""All rows of a page, grouped and ranked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from robench.base.hashing import digest
from robench.leaderboard.read.intake import Refused
from robench.leaderboard.read.refusals import Refusal
from robench.leaderboard.table.cells import Column, at_first, ordered
from robench.leaderboard.table.labels import Place, protocol_label, row_label, varying
from robench.leaderboard.table.proof import Replicate
from robench.leaderboard.table.ranking import ranks
from robench.leaderboard.table.row import BoardRow


@dataclass(frozen=True)
class Protocol:
    """Rows that may be compared, best first."""

    key: str
    label: str
    rows: tuple[BoardRow, ...]

    @cached_property
    def varying(self) -> set[Place]:
        """The options in which its rows differ: what their names must say."""
        return varying(self.rows)

    @property
    def audited(self) -> int:
        """How many of its rows were audited; the page opens with the protocol that has most."""
        return sum(row.audited is not None for row in self.rows)

    @property
    def at_first(self) -> set[Column]:
        """The columns that its table shows at first."""
        return at_first(dict.fromkeys(column for row in self.rows for column in row.cells))


@dataclass(frozen=True)
class Site:
    """Everything the pages show."""

    protocols: tuple[Protocol, ...]
    columns: tuple[Column, ...]
    labels: dict[str, str]
    ranks: dict[str, int | None]
    refused: tuple[Refused, ...]
    refusals: tuple[Refusal, ...]
    """What the sweeps behind the records could not run."""

    @property
    def rows(self) -> list[BoardRow]:
        """All rows, protocol by protocol."""
        return [row for protocol in self.protocols for row in protocol.rows]


def make_site(
    rows: Sequence[BoardRow], refused: Sequence[Refused], refusals: Sequence[Refusal] = ()
) -> Site:
    """Group, order, rank and name the rows."""
    rows = _with_replicates(_apart(rows))
    ranked = ranks(rows)
    protocols = _protocols(rows, ranked)
    return Site(
        protocols=protocols,
        columns=tuple(ordered(row.cells for protocol in protocols for row in protocol.rows)),
        labels={row.id: row_label(row, one.varying) for one in protocols for row in one.rows},
        ranks=ranked,
        refused=tuple(refused),
        refusals=tuple(refusals),
    )


def _apart(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows, where two of a protocol were measured by other versions of a metric set apart."""
    newest: dict[tuple[str, str], str] = {}
    for row in rows:
        for metric, version in row.versions.items():
            key = row.protocol, metric
            newest[key] = max(newest.get(key, ""), version, key=_age)
    found = []
    for row in rows:
        old = {m: v for m, v in row.versions.items() if v != newest[row.protocol, m]}
        found.append(replace(row, protocol=digest([row.protocol, old])) if old else row)
    return found


def _with_replicates(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """The rows, each of which knows those of networks trained apart from its configuration."""
    same: dict[tuple[str, str], list[BoardRow]] = {}
    for row in rows:
        if row.weights:
            same.setdefault((row.protocol, row.system), []).append(row)
    replicates = {
        key: tuple(
            Replicate(row.id, row.weights, row.proof.level, row.score)
            for row in sorted(its, key=lambda one: (-one.score, one.id))
        )
        for key, its in same.items()
        if len({row.weights for row in its}) > 1
    }
    return [
        replace(row, proof=replace(row.proof, replicates=replicates[row.protocol, row.system]))
        if row.weights and (row.protocol, row.system) in replicates
        else row
        for row in rows
    ]


def _age(version: str) -> tuple[int, str]:
    """Orders 2 before 10."""
    return len(version), version


def _protocols(rows: Sequence[BoardRow], ranked: Mapping[str, int | None]) -> tuple[Protocol, ...]:
    best_first = sorted(
        rows, key=lambda row: (row.protocol, ranked[row.id] is None, -row.score, row.id)
    )
    groups = [tuple(group) for _, group in groupby(best_first, key=lambda row: row.protocol)]
    labels = Counter(protocol_label(group) for group in groups)
    found = [Protocol(group[0].protocol, _label(group, labels), group) for group in groups]
    return tuple(sorted(found, key=lambda p: (-p.audited, -len(p.rows), p.label, p.key)))


def _label(rows: Sequence[BoardRow], labels: Counter[str]) -> str:
    """The label of a protocol; where two read alike, with the beginning of its digest."""
    label = protocol_label(rows)
    return label if labels[label] == 1 else f"{label} · {rows[0].protocol[:6]}"
