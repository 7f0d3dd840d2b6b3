"""The arrays of adversarial examples beside a record: what they are called, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from robench.base.errors import UserError
from robench.base.files import array_names
from robench.core.record import Record

BROKEN = "certificates"
"""The name of the images that broke certificates."""


def row_name(index: int) -> str:
    """The name of the examples of a record's `index`-th valid row."""
    return f"row{index}"


def audit_name(number: int) -> str:
    """The name of the examples of a record's `number`-th audit."""
    return f"audit{number}"


def check_arrays(record: Record, path: Path) -> None:
    """Raise UserError where the file of examples holds what is of no row and no audit.

    No check looks at such an array, so it would travel with the record unseen.
    """
    if not path.is_file():
        return
    if strange := array_names(path) - set(_declared(record)):
        named = ", ".join(repr(name[:80]) for name in sorted(strange)[:9])
        raise UserError(f"expected arrays of rows and audits alone in {path.name}, got {named}")


def _declared(record: Record) -> Iterator[str]:
    valid = [row for row in record.rows if row.status != "invalid"]
    yield from map(row_name, range(len(valid)))
    yield from map(audit_name, range(len(record.audit)))
    if record.certificates and record.certificates.broken:
        yield BROKEN
