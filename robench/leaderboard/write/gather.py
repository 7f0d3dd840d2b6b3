"""From the records' folders to rows: each record is read once, and each row made once.

What a row is made of is named by a key: the digest of its records' files and of who verified them.
Whatever the store knows under that key is taken from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from typing import Any

from robench.base.errors import UserError
from robench.base.hashing import canonical, digest, is_hash
from robench.base.parallel import workers
from robench.base.turns import Steps, at_once, in_turn
from robench.collection.code import all_code
from robench.collection.known import Seen
from robench.collection.shards import KEY, Later, Shards, shard_of
from robench.collection.store import VALUES, Collection, fill
from robench.collection.store import Made as Rows
from robench.collection.values import stored
from robench.leaderboard.read.claims import Attestations, Claim, read_claim
from robench.leaderboard.read.intake import Refused, why
from robench.leaderboard.read.merge import families, groups
from robench.leaderboard.read.private import own_names
from robench.leaderboard.read.twins import Settled, settle
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.table.stored import COLUMNS, LONG, Decoder, Long, encode
from robench.leaderboard.write.collect import Made, collect
from robench.records import protocols
from robench.records.lots import read_together
from robench.records.store import RECORD
from robench.records.trust import LEVELS, Attestation, content_of, file_hashes

ROWS, DRAWN = "rows", "drawn"
TABLES = {
    ROWS: {"refused": "string", "left": "string", "told": "string", **COLUMNS},
    DRAWN: {"document": "large_binary", "sprite": "large_binary"},
}
"""The store's tables: of each key a row, or why there is none; and what its page shows."""
NOTHING = {name: dict.fromkeys(columns) for name, columns in TABLES.items()}
CHANGED = "expected a record that stays as it is while it is read; build the page again"
Item = tuple[Seen, Attestation | None]
"""A record's folder, and who verified its files."""
Left = dict[str, str]
"""Why a record feeds no row, by the digest of its files."""
Kept = dict[str, dict[str, Any]]
"""By table, what the store keeps under one key."""


@dataclass
class Gathered:
    """The rows of the records, what the store calls them, and the records that feed none."""

    tables: Mapping[str, Shards]
    rows: list[BoardRow] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """By row its key in the store: equal keys, equal rows."""
    names: dict[str, str] = field(default_factory=dict)
    """By content of a record what it is called when it is left out."""
    told: dict[str, str] = field(default_factory=dict)
    """By key the values of a row whose numbers moved, as the store keeps them, else nothing."""
    loose: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By key what pages show of rows that the store does not keep: nobody foresaw them."""
    refused: list[Refused] = field(default_factory=list)


def gather(
    collection: Collection,
    found: Sequence[tuple[str, Seen]],
    attestations: Attestations,
) -> Gathered:
    """The rows of the records, by name and folder, whose contents are known."""
    tables = {name: collection.table(name, its, _installed()) for name, its in TABLES.items()}
    wanted, names = dict[str, Item](), dict[str, str]()
    gathered = Gathered(tables)
    for name, seen in found:
        attestation = attestations.get(seen.content)
        key = _key(seen.content, attestation)
        if key in names:
            gathered.refused.append(Refused(name, f"the same record as {names[key]}"))
            continue
        names[key] = gathered.names[seen.content] = name
        wanted[key] = seen, attestation

    def place(key: str) -> int:
        return shard_of(wanted[key][0].digest or key)

    left = fill(tables, wanted, place, _take, {VALUES: collection.values})
    _Gathering(gathered, names, wanted, left).settle()
    return gathered


def leave_out(gathered: Gathered, contents: Container[str]) -> None:
    """Leave out the rows of records that changed after they were read."""
    kept = []
    for row in gathered.rows:
        changed = [content for content in row.contents if content in contents]
        gathered.refused += [Refused(gathered.names[one], CHANGED) for one in changed]
        kept += [] if changed else [row]
    gathered.rows = kept


def read_contents(found: Sequence[Seen]) -> list[Seen]:
    """The digest of all files of each record's folder; of one that cannot be read, of its name."""
    unknown = [one for one in found if not one.content]
    with workers(len(unknown)) as each:
        # Paths that come from another process would be in memory twice.
        made = each(_hashed, [one.folder for one in unknown])
        return [one if one.content else replace(one, **next(made)) for one in found]


def _hashed(folder: Path) -> dict[str, Any]:
    """What of a `Seen` only reading its files tells."""
    try:
        hashes = file_hashes(folder)
    except OSError:
        unread = hashlib.sha256(os.fsencode(folder)).hexdigest()
        return {"state": "", "content": unread}
    digest = hashes.get(RECORD, "")
    # Of what is no plain file, or too large to be read, `file_hashes` says that instead.
    return {"content": content_of(hashes), "digest": digest if is_hash(digest) else ""}


def _key(its: str, attestation: Attestation | None) -> str:
    """What a record's row is known by: its files, and who verified them."""
    if attestation is None:
        return its
    return hashlib.sha256(canonical([its, attestation.model_dump()]).encode()).hexdigest()


def _take(lot: Sequence[Item]) -> list[Rows]:
    """What the store keeps of some records."""
    with read_together(seen.folder for seen, _ in lot) as small:
        few = {at[0].folder: _take_one(*at) for at in lot if at[0].folder in small}
        made = dict(zip(few, in_turn(few.values()), strict=True))
        return [made.get(at[0].folder) or at_once(_take_one(*at)) for at in lot]


def _take_one(seen: Seen, attestation: Attestation | None) -> Steps[Rows]:
    """The row of one record and its values, or why there is none; in words alone what may be
    otherwise next time: the record changes meanwhile, or nobody foresaw it."""
    key = _key(seen.content, attestation)
    try:
        claim = yield from read_claim(seen, {seen.content: attestation} if attestation else {})
        if claim.content != seen.content:
            return CHANGED
        yield
        made = yield from collect(settle([claim])[0], claim.id)
        yield
        kept = _kept(made)
        yield
        values = {seen.digest: stored(claim.record)}
    except UserError as error:
        kept, values = {**NOTHING, ROWS: {**NOTHING[ROWS], "refused": why(error)}}, {}
    except Exception as error:
        return why(error)
    return {**{name: {key: row} for name, row in kept.items()}, VALUES: values}


def _kept(made: Made) -> Kept:
    row = {**NOTHING[ROWS], "told": made.told, **encode(made.row)}
    return {ROWS: row, DRAWN: {"document": made.document, "sprite": made.sprite}}


@cache
def _installed() -> str:
    """What of this machine decides how a record is read: plugins, protocols, account and host."""
    return digest([all_code(), protocols.hashes(), own_names()])


class _Gathering:
    """Which records stand together, and the rows that they make."""

    def __init__(
        self,
        gathered: Gathered,
        names: Mapping[str, str],
        wanted: Mapping[str, Item],
        left: Mapping[str, str],
    ) -> None:
        self._gathered, self._names, self._wanted, self._left = gathered, names, wanted, left
        self._known: dict[str, tuple[Mapping[str, Sequence[Any]], int, Long]] = {}
        self._later: dict[int, Later] = {}
        """By shard its columns that are not read yet."""
        self._decode = Decoder({seen.content: seen.folder for seen, _ in wanted.values()})
        table = gathered.tables[ROWS]
        for number, texts in table.read(name for name in table.columns if name not in LONG):
            later = self._later[number] = table.later(number, LONG)
            columns = self._decode.columns(texts)
            for at, key in enumerate(texts[KEY]):
                self._known[key] = columns, at, partial(later, at)
        self._used: set[str] = set()
        """Ids of rows, and those that no row gets."""
        self._new: dict[str, Kept] = {}
        self._loose: dict[str, dict[str, Any]] = {}
        self._keep = set(wanted)

    def settle(self) -> None:
        """Fill in rows and refusals, and write down what was made anew."""
        alone: dict[str, BoardRow] = {}
        for key, name in self._names.items():
            refused = self._left.get(key) or self._value(key, "refused")
            if refused is None:
                alone[key] = self._row(key)
            else:
                self._gathered.refused.append(Refused(name, refused))
        keys = {row.contents[0]: key for key, row in alone.items()}
        groups = list(_groups(list(alone.values())))
        self._used |= _contested(groups)
        for same in groups:
            for its, reason in self._settle([keys[row.contents[0]] for row in same], alone):
                self._gathered.refused.append(Refused(self._names[keys[its]], reason))
        self._write()

    def _value(self, key: str, name: str) -> Any:
        columns, at, _ = self._known[key]
        return columns[name][at]

    def _row(self, key: str) -> BoardRow:
        return self._decode(*self._known[key])

    def _settle(
        self, keys: Sequence[str], alone: Mapping[str, BoardRow]
    ) -> Iterator[tuple[str, str]]:
        """Yield the records of a group that feed no row, and why."""
        if len(keys) == 1 and alone[keys[0]].id not in self._used:
            self._add(alone[keys[0]], keys[0])
            return
        ids = {alone[key].id for key in keys}
        used = sorted(one for one in self._used if one.startswith(tuple(ids)))
        group = hashlib.sha256(canonical([list(keys), used]).encode()).hexdigest()
        if f"{group}.0" not in self._known:
            self._make(group, [self._wanted[key] for key in keys])
        left: Left = {}
        for number in count():
            key = f"{group}.{number}"
            if key not in self._known:
                break
            self._keep.add(key)
            left |= json.loads(self._value(key, "left") or "{}")
            if self._value(key, "id") is not None:
                self._add(self._row(key), key)
        yield from left.items()

    def _add(self, row: BoardRow, key: str) -> None:
        self._used.add(row.id)
        self._gathered.rows.append(row)
        name = key
        if key in self._loose:
            name = f"{key}.{uuid.uuid4().hex}"
            self._gathered.loose[name] = self._loose[key]
        self._gathered.keys[row.id] = name
        self._gathered.told[name] = self._value(key, "told")

    def _make(self, group: str, its: Sequence[Item]) -> None:
        claims = [_claim(one) for one in its]
        made, left, lasting = _together([one for one in claims if one], self._used)
        changed = {
            seen.content: CHANGED for (seen, _), one in zip(its, claims, strict=True) if not one
        }
        kept = made or [NOTHING]
        first = {**kept[0], ROWS: {**kept[0][ROWS], "left": json.dumps(left | changed)}}
        for number, one in enumerate([first, *kept[1:]]):
            key = f"{group}.{number}"
            row = one[ROWS]
            columns = self._decode.columns({name: [its] for name, its in row.items()})
            self._known[key] = columns, 0, row.__getitem__
            if lasting and not changed:
                self._new[key] = one
            else:
                self._loose[key] = one[DRAWN]

    def _write(self) -> None:
        """Add what was made, and drop what no page of these records needs any more."""
        for name, table in self._gathered.tables.items():
            shards: dict[int, dict[str, Any]] = {}
            for key, kept in self._new.items():
                shards.setdefault(shard_of(key), {})[key] = kept[name]
            for key, number in table.keys().items():
                if key not in self._keep:
                    shards.setdefault(number, {})
            for number, rows in shards.items():
                if number in self._later and name == ROWS:
                    self._later[number].read()
                table.write(number, rows, self._keep.__contains__)


def _groups(rows: Sequence[BoardRow]) -> Iterator[list[BoardRow]]:
    """Records of one protocol, or of none, and of one id or system that do not contradict each
    other's settings; under a protocol of one network, whatever their seeds.

    Those that verify come first, so that no other one decides whom they stand with.
    """
    ordered = sorted(rows, key=lambda row: (row.proof.level != "verified", row.id, row.contents))
    apart: dict[str, list[BoardRow]] = {}
    for row in ordered:
        apart.setdefault(row.key, []).append(row)
    for same in apart.values():
        for family in families((row, _keys(row)) for row in same):
            for group in groups((row, row.weights, row.meaning) for row in family):
                yield from (strangers(group) if len(group) > 1 else []) or [group]


def _contested(groups: Iterable[Sequence[BoardRow]]) -> set[str]:
    """Ids that rows of several groups claim and none that verifies: whose files' digest comes first
    anybody chooses, so that no such address may lead to either."""
    claimed = Counter(chain.from_iterable({row.id for row in group} for group in groups))
    several = {one for one, times in claimed.items() if times > 1}
    rows = chain.from_iterable(groups) if several else ()
    return several - {row.id for row in rows if row.proof.level == "verified"}


def strangers(group: Sequence[BoardRow]) -> list[list[BoardRow]]:
    """The records of a group by network, where no network touches another's row: all weights are
    known, no id stands for two of them, and nothing verifies. Nothing where one may."""
    networks: dict[str, list[BoardRow]] = {}
    for row in group:
        networks.setdefault(row.weights, []).append(row)
    ids = [{row.id for row in its} for its in networks.values()]
    alone = len(set[str]().union(*ids)) == sum(map(len, ids))
    proven = any(row.proof.level == "verified" for row in group)
    return list(networks.values()) if alone and not proven and "" not in networks else []


def _keys(row: BoardRow) -> list[str]:
    """What joins a row to others."""
    networks = [row.network] if row.protocol and row.network else []
    return [row.id, row.system, *networks]


def _claim(at: Item) -> Claim | None:
    """A record taken in again, to stand with others; None of one that changes meanwhile."""
    seen, attestation = at
    try:
        claim = at_once(read_claim(seen, {seen.content: attestation} if attestation else {}))
    except Exception as error:
        why(error)  # raised when debugging
        return None
    return claim if claim.content == seen.content else None


def _together(claims: Sequence[Claim], used: set[str]) -> tuple[list[Kept], Left, bool]:
    """The rows of records that belong together, those that feed none, and whether that is so
    whenever they are read: not after what nobody foresaw."""
    try:
        return *_rows(claims, used), True
    except Exception as error:
        made, left = _without(claims, why(error), used)
        return made, left, isinstance(error, UserError)


def _without(claims: Sequence[Claim], fault: str, used: set[str]) -> tuple[list[Kept], Left]:
    """The rows of the records that can stand together, those that prove most first; the others are
    left out, for `fault`."""
    kept: list[Claim] = []
    for claim in sorted(claims, key=lambda one: (-LEVELS.index(one.level), one.content)):
        try:
            _rows([*kept, claim], used)
        except Exception as error:
            why(error)  # raised when debugging
            continue
        kept.append(claim)
    rows, left = _rows(kept, used) if kept else ([], {})
    stays = {one.content for one in kept}
    return rows, {**left, **{one.content: fault for one in claims if one.content not in stays}}


def _rows(claims: Sequence[Claim], used: set[str]) -> tuple[list[Kept], Left]:
    """Raises whatever a record does to those who read it."""
    every, taken = settle(claims), set(used)
    made = []
    for one in every:
        row_id = _free(one, every, taken)
        taken.add(row_id)
        made.append(_kept(at_once(collect(one, row_id))))
    return made, {
        aside.content: f"set aside: {aside.reason}" for one in every for aside in one.aside
    }


def _free(settled: Settled, every: Sequence[Settled], taken: set[str]) -> str:
    """The first record's id, made longer where another row may claim it.

    One row that verifies keeps it among those that do not; of others none does, so that no address
    ever leads to another network.
    """
    first = settled.claims[0].id
    others = (one for one in every if one.weights != settled.weights)
    rivals = [one for one in others if any(claim.id == first for claim in one.claims)]
    proven = settled.level == "verified" and all(one.level != "verified" for one in rivals)
    network = settled.weights or digest([one.content for one in settled.claims])
    name = first if proven or not rivals else first + network[:16]
    if name not in taken:
        return name
    return first + digest([one.content for one in settled.claims])
