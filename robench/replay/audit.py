"""The full audit of a stored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robench.core.record import Record
from robench.replay.rebuild import rebuild_trained
from robench.run.config import Places, joined
from robench.run.pipeline import run


def audit_record(folder: Path, places: Places) -> tuple[Record, Path]:
    """Run a record's configuration again with audit=full; what is cached is not computed again.

    Where the network is not in the cache, what the record keeps stands for it: its weights, or its
    program, attacked on a twin made from it. Without either it is trained again, which is said.

    Returns the new record, which stands beside the old one, and its folder. Raises UserError for a
    record whose components are not installed.
    """
    rebuilt = rebuild_trained(folder, places)
    audit = replace(rebuilt.config.audit, level="full")
    full = replace(rebuilt.config, audit=joined(audit))
    return run(full, rebuilt.places, rebuilt.record.overrides, rebuilt.kept)
