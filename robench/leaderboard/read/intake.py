"""Records from anywhere: what is broken or hostile is refused by name, the rest is taken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from robench.base.errors import UserError, bad_input, debugging
from robench.base.files import array_names, read_plain, require_plain
from robench.base.text import one_line, reason, visible
from robench.base.turns import Steps, at_once
from robench.collection.known import Seen, scan
from robench.core.outcomes import Outcomes
from robench.core.record import SCHEMA_VERSION, Frozen, Record, Value
from robench.leaderboard.read.private import check_private
from robench.records.consistent import KINDS, check_config, hold
from robench.records.preview import picture
from robench.records.store import MAX_FILE, MAX_RECORD_BYTES, RECORD, parse
from robench.records.support.values import NAME

AXIS = re.compile(r"[A-Za-z0-9_(\[][^\x00-\x1f<&\"']{0,79}")
"""Words that an axis may have, layers and steps among them."""
ACCOUNT = re.compile(r"[A-Za-z0-9_.+,:()/ -]{0,200}")
"""What a file and its runtime are called: a study's page reads it as a table's cell."""
UNIT = re.compile(r"(?:[A-Za-z0-9%\[][A-Za-z0-9%/*^.,\[\]() -]{0,23})?")
"""Units; like names they end in tables that spreadsheets open."""
AMOUNTS = {"s": 1e9, "bytes": 1e18, "img/s": 1e12}
"""Units of which nothing has less than none, and how much nothing exceeds."""
ID = re.compile(r"[0-9a-f]{8,64}")
MAX_TEXT = 4_000
MAX_NUMBER = 100
"""Characters of a number at most, less one."""
HUGE = re.compile(rb"[0-9][eE]\+?0*[1-9][0-9]{2}")
"""Numbers from 1e100 on: sums and squares of them may be none."""
NUMBERS = bytes(byte if byte in b"0123456789.eE+-" else 32 for byte in range(256))
"""What leaves numbers alone and makes all else a space."""
MAX_VALUES, MAX_ROWS = 5_000, 2_000
"""Values and rows of a record at most: a run of twenty attacks at twenty sizes, each by three
accesses, has 1,200 rows."""
MAX_COMMAS, MAX_KEYS, MAX_LISTS = 100_000, 50_000, 20_000
"""Commas, keys, and lists and mappings of a record at most: to parse one takes up to three
kilobytes."""
PLAIN = {str, int, float, bool, type(None)}
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
MAX_DEPTH = 40
"""Lists and mappings inside each other at most."""
MAX_FILES = 1_000
"""Files in a record's folder at most, challenges among them."""
MAX_REASON = 500
"""Characters of the reason for which a record is left out."""


@dataclass(frozen=True)
class Refused:
    """A record that is left out of the page, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Taken:
    """A record that may stand on a page."""

    record: Record
    outcomes: Outcomes
    unfounded: tuple[str, ...]
    """What of it nothing stored supports, in words."""
    folder: Path


def why(error: Exception) -> str:
    """Why something of a record failed, in a line; also what nobody foresaw.

    With ROBENCH_DEBUG set that is raised instead: it may be a fault of robench.
    """
    if isinstance(error, UserError):
        return one_line(error)[:MAX_REASON]
    if debugging():
        raise error
    return reason(error)[:MAX_REASON]


def find_records(roots: Iterable[Path]) -> list[tuple[str, Seen]]:
    """Every record folder below the roots, with the name it is refused by; sorted by name.

    Raises UserError for a root that does not exist.
    """
    found: dict[str, Seen] = {}
    for root in roots:
        if not root.is_dir():
            raise UserError(f"expected a folder of records, got {str(root)!r}")
        above = root.as_posix()
        for seen in scan(root):
            # A folder's path from the root, whose own is its name.
            below = seen.folder.as_posix().removeprefix(above).lstrip("/")
            name = visible(below or seen.folder.name)
            if name in found:
                # Two roots may hold folders of one name, and neither may hide the other.
                whole = visible(seen.folder.as_posix())
                names = chain([whole], (f"{whole} ({number})" for number in count(2)))
                name = next(one for one in names if one not in found)
            found[name] = seen
    return sorted(found.items())


def take(folder: Path) -> Taken:
    """Read a record and its outcomes and check all that a page relies on.

    Raises UserError, whatever is wrong: a bad record costs itself alone.
    """
    return at_once(taking(folder))


def taking(folder: Path) -> Steps[Taken]:
    """The same in steps."""
    record = yield from _formed(folder)
    found = yield from hold(record, folder)
    return Taken(found.record, found.outcomes, found.unfounded, folder)


def hold_taken(record: Record, folder: Path) -> Taken:
    """Hold a record of sound form against its files; raises UserError for a contradiction."""
    found = at_once(hold(record, folder))
    return Taken(found.record, found.outcomes, found.unfounded, folder)


def check_form(folder: Path) -> Record:
    """Read a record: its files, names, texts and numbers, before anything is computed from them.

    Raises UserError, whatever a hostile file makes a reader raise.
    """
    return at_once(_formed(folder))


def _formed(folder: Path) -> Steps[Record]:
    with bad_input("expected a record that can be read"):
        return (yield from _form(folder))


def _form(folder: Path) -> Steps[Record]:
    _check_files(folder)
    yield
    data = read_plain(folder / RECORD, MAX_RECORD_BYTES)
    pieces = _pieces(data)
    keys = _check_json(pieces)
    yield
    record = parse(data, folder / RECORD)
    if (once := _keys(record)) != keys:
        raise UserError(f"expected each key once in {RECORD}, got {keys - once} again")
    if record.seed < 0:
        raise UserError(f"expected a seed of at least 0, got {record.seed}")
    if record.schema_version != SCHEMA_VERSION:
        raise UserError(f"expected schema {SCHEMA_VERSION}, got {record.schema_version}")
    yield
    _check_counts(record)
    _check_names(record)
    yield
    check_config(record)
    yield
    _check_values(record)
    yield
    check_private(record, () if b"\\" in data else pieces[1::2])
    return record


def _check_files(folder: Path) -> None:
    """Plain files only, few enough, none too large to be hashed, nor expanded to be read."""
    _check_name(folder.name)
    with os.scandir(folder) as found:
        for number, entry in enumerate(found):
            _check_name(entry.name)
            require_plain(entry)
            if (size := entry.stat(follow_symlinks=False).st_size) > MAX_FILE:
                raise UserError(f"expected at most {MAX_FILE} bytes in {entry.name}, got {size}")
            if number >= MAX_FILES:
                raise UserError(f"expected at most {MAX_FILES} files in a record's folder")
            if entry.name.endswith(".npz"):
                array_names(folder / entry.name)
    picture(folder)


def _check_name(name: str) -> None:
    if visible(name) != name:
        raise UserError(f"expected a name of visible characters, got {visible(name)!r}")


def _pieces(data: bytes) -> list[bytes]:
    """JSON cut at its quotes: what is no text, and texts, in turn; escaped quotes are left out."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    return data.split(b'"')


def _check_json(pieces: Sequence[bytes]) -> int:
    """No text is long enough to swamp a page, and no more values and brackets than records have.

    Returns how many keys there are.
    """
    marks = b"".join(between := pieces[::2])
    # A number is no longer than what stands between two texts.
    numbers = marks.translate(NUMBERS).split() if _longest(between) >= MAX_NUMBER else ()
    if _longest(pieces[1::2]) > MAX_TEXT or _longest(numbers) >= MAX_NUMBER:
        raise UserError(f"expected texts of at most {MAX_TEXT} bytes in {RECORD}, got a longer one")
    if HUGE.search(marks):
        raise UserError(f"expected numbers below 1e100 in {RECORD}, got a larger one")
    brackets, before = marks.translate(None, NO_BRACKETS), b""
    sizes = {
        "values": (marks.count(b","), MAX_COMMAS),
        "keys": (keys := marks.count(b":"), MAX_KEYS),
        "lists and mappings": (len(brackets) // 2, MAX_LISTS),
    }
    for what, (found, most) in sizes.items():
        if found > most:
            raise UserError(f"expected at most {most} {what} in {RECORD}, got {found}")
    for _ in range(MAX_DEPTH):
        before, brackets = brackets, brackets.replace(b"[]", b"").replace(b"{}", b"")
    # What no longer changes does not close, which reading it says better.
    if brackets != before:
        raise UserError(f"expected at most {MAX_DEPTH} lists inside each other in {RECORD}")
    return keys


def _keys(value: Any) -> int:
    """Keys of what was read: as many as its JSON has, where none of them stands there twice."""
    if type(value) is Value:  # most of a record, and flat
        return len(value.model_fields_set) + len(value.axes)
    own, inner = 0, value
    if isinstance(value, Frozen):
        own, inner = len(value.model_fields_set), vars(value).values()
    elif isinstance(value, dict):
        own, inner = len(value), value.values()
    for one in inner:
        if type(one) not in PLAIN:
            own += _keys(one)
    return own


def _longest(pieces: Iterable[bytes]) -> int:
    return max(map(len, pieces), default=0)


def _check_counts(record: Record) -> None:
    for what, found, most in (
        ("values", len(record.values), MAX_VALUES),
        ("rows", len(record.rows), MAX_ROWS),
    ):
        if found > most:
            raise UserError(f"expected at most {most} {what}, got {found}")


def _check_names(record: Record) -> None:
    if not ID.fullmatch(record.id) or not ID.fullmatch(record.protocol):
        raise UserError(f"expected an id of hexadecimal digits, got {record.id[:80]!r}")
    for name in dict.fromkeys(_names(record)):
        if not NAME.fullmatch(name):
            raise UserError(f"expected a name of letters, digits and _.+:-, got {name[:80]!r}")
    for name, text in _of_file(record):
        if not ACCOUNT.fullmatch(text):
            raise UserError(f"expected plain words for the file's {name}, got {text[:80]!r}")
    words = {
        (name, axis): None
        for value in record.values
        for name, axis in value.axes.items()
        if isinstance(axis, str) and axis
    }
    for name, axis in words:
        if not AXIS.fullmatch(axis):
            raise UserError(f"expected plain words for {name[:80]}, got {axis[:80]!r}")


def _of_file(record: Record) -> Iterator[tuple[str, str]]:
    """What a shipped file says in words of itself and of what runs it."""
    for name in ("format", "runtime", "version", "provider", "instructions"):
        if record.file:
            yield name, getattr(record.file, name)


def _names(record: Record) -> Iterator[str]:
    for kind in KINDS:
        chosen = record.config.get(kind)
        if not isinstance(chosen, dict):
            raise UserError(f"expected config.{kind} to map choices to options")
        yield from chosen
    yield record.data.name
    yield record.data.subset
    yield record.data.hash
    for row in record.rows:
        yield from (row.attack, row.access, row.norm)
    for value in record.values:
        yield value.metric
        yield from value.axes


def _check_values(record: Record) -> None:
    for value in record.values:
        if not UNIT.fullmatch(value.unit):
            raise UserError(f"expected a unit such as share or img/s, got {value.unit[:80]!r}")
        ends = [v for v in (value.low, value.value, value.high) if v is not None]
        if ends != sorted(ends):
            raise _outside(value.metric, ends)
        most = 1 if value.metric.endswith("_accuracy") else AMOUNTS.get(value.unit)
        if most is not None and not all(0 <= end <= most for end in ends):
            raise UserError(f"expected {value.metric} in [0,{most:g}], got {ends}")
    for audit in record.audit:
        for one in audit.findings:
            ends = [v for v in (one.low, one.value, one.high) if v is not None]
            if ends != sorted(ends):
                raise _outside(one.check, ends)
        for weak in audit.weak_attacks:
            if not weak.low <= weak.gained <= weak.high:
                raise _outside(f"what {weak.attack} gained", [weak.low, weak.gained, weak.high])


def _outside(what: str, ends: list[float]) -> UserError:
    return UserError(f"expected low <= {what[:80]} <= high, got {ends}")
