"""The full audit of a stored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robench.compose import from_plain
from robench.config import Places
from robench.pipeline import run
from robench.record import Record
from robench.results import read


def audit_record(folder: Path, places: Places) -> tuple[Record, Path]:
    """Run a record's configuration again with audit=full; what is cached is not computed again.

    Returns the new record, which stands beside the old one, and its folder. Raises UserError for a
    record whose components are not installed.
    """
    record = read(folder)
    config = from_plain(record.config)
    return run(replace(config, audit=replace(config.audit, level="full")), places, record.overrides)
