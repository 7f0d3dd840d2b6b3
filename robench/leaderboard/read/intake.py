"""Records from anywhere: what is broken or hostile is refused by name, the rest is taken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from robench.base.errors import UserError
from robench.base.hashing import digest
from robench.core.outcomes import CLEAN, Outcomes
from robench.core.record import RUN_KINDS, SCHEMA_VERSION, Record, run_id
from robench.records.store import RECORD, folders, read, read_outcomes

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:-]{0,79}")
"""Names of components, metrics, accesses, norms, data sets and axes."""
AXIS = re.compile(r"[A-Za-z0-9_(\[][^\x00-\x1f<&\"']{0,79}")
"""Words that an axis may have, layers and steps among them."""
UNIT = re.compile(r"(?:[A-Za-z0-9%\[][A-Za-z0-9%/*^.,\[\]() -]{0,23})?")
"""Units; like names they end in tables that spreadsheets open."""
ID = re.compile(r"[0-9a-f]{8,64}")
KINDS = (*RUN_KINDS, "access")
MAX_TEXT = 4_000
MAX_VALUES = 5_000


@dataclass(frozen=True)
class Refused:
    """A record that is left out of the page, and why."""

    name: str
    reason: str


def find_records(roots: Iterable[Path]) -> list[tuple[str, Path]]:
    """Every record folder below the roots, with the name it is refused by; sorted by name.

    Raises UserError for a root that does not exist.
    """
    found: dict[str, Path] = {}
    for root in roots:
        if not root.is_dir():
            raise UserError(f"expected a folder of records, got {str(root)!r}")
        for folder in folders(root):
            name = folder.relative_to(root).as_posix()
            found[folder.name if name == "." else name] = folder
    return sorted(found.items())


@dataclass(frozen=True)
class Taken:
    """A record that does not contradict itself, with its outcomes."""

    record: Record
    outcomes: Outcomes
    unfounded: tuple[str, ...]
    """What of it nothing stored supports."""
    folder: Path


def take(folder: Path) -> Taken:
    """Read a record and its outcomes and check all that a page relies on; raises UserError."""
    for file in folder.iterdir():
        if file.is_symlink():
            raise UserError(f"expected plain files, got the link {file.name!r}")
    record = read(folder)
    if record.schema_version != SCHEMA_VERSION:
        raise UserError(f"expected schema {SCHEMA_VERSION}, got {record.schema_version}")
    _check_names(record)
    _check_texts(folder)
    _check_values(record)
    outcomes = read_outcomes(folder)
    _check_outcomes(record, outcomes)
    return Taken(record, outcomes, (), folder)


def _check_names(record: Record) -> None:
    if not ID.fullmatch(record.id) or not ID.fullmatch(record.protocol):
        raise UserError(f"expected an id of hexadecimal digits, got {record.id[:80]!r}")
    for name in _names(record):
        if not NAME.fullmatch(name):
            raise UserError(f"expected a name of letters, digits and _.+:-, got {name[:80]!r}")


def _names(record: Record) -> Iterator[str]:
    for kind in KINDS:
        chosen = record.config.get(kind)
        if not isinstance(chosen, dict) or not all(isinstance(v, dict) for v in chosen.values()):
            raise UserError(f"expected config.{kind} to map choices to options")
        yield from chosen
    if not isinstance(record.config.get("train"), dict):
        raise UserError("expected config.train to hold options")
    yield record.data.name
    yield record.data.subset
    yield record.data.hash
    for row in record.rows:
        yield from (row.attack, row.access, row.norm)
    for value in record.values:
        yield value.metric
        for name, axis in value.axes.items():
            yield name
            if isinstance(axis, str) and axis and not AXIS.fullmatch(axis):
                raise UserError(f"expected plain words for {name[:80]}, got {axis[:80]!r}")


def _check_texts(folder: Path) -> None:
    """No text is long enough to swamp a page."""
    pieces = (folder / RECORD).read_bytes().replace(b'\\"', b"").split(b'"')
    if max(map(len, pieces)) > MAX_TEXT:
        raise UserError(f"expected texts of at most {MAX_TEXT} bytes in {RECORD}, got a longer one")


def _check_values(record: Record) -> None:
    if len(record.values) > MAX_VALUES:
        raise UserError(f"expected at most {MAX_VALUES} values, got {len(record.values)}")
    for value in record.values:
        if not UNIT.fullmatch(value.unit):
            raise UserError(f"expected a unit such as share or img/s, got {value.unit[:80]!r}")
        ends = [v for v in (value.low, value.value, value.high) if v is not None]
        if ends != sorted(ends):
            raise UserError(f"expected low <= {value.metric} <= high, got {ends}")
        if value.metric.endswith("_accuracy") and not all(0 <= end <= 1 for end in ends):
            raise UserError(f"expected {value.metric} in [0,1], got {ends}")


def _check_outcomes(record: Record, outcomes: Outcomes) -> None:
    images = record.data.images
    keys = [(row.attack, row.access, row.norm, row.eps) for row in outcomes.rows]
    if keys[0][0] != CLEAN or len(set(keys)) != len(keys):
        raise UserError("expected outcomes to begin with the clean row and to hold each row once")
    for row in outcomes.rows:
        if len(row) != images:
            raise UserError(f"expected {images} outcomes of {row.attack}, got {len(row)}")
    recorded = {(row.attack, row.access, row.norm, row.eps) for row in record.rows}
    if recorded != set(keys[1:]):
        raise UserError("expected the outcomes table to hold the record's rows")
    if digest(outcomes.clean.image.tolist()) != record.data.subset:
        raise UserError("expected outcomes of the images the record names, got other images")


def check_hash(record: Record) -> None:
    """Raise UserError unless the id is the digest of the configuration."""
    if run_id(record.config) != record.id:
        raise UserError(
            f"expected id {run_id(record.config)} for this configuration, got {record.id}"
        )
