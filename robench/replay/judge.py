"""The model that a record keeps, judged under a named protocol: nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from robench.base.errors import ConfigError, UserError
from robench.base.hashing import file_hash
from robench.base.text import one_line
from robench.core.record import Record
from robench.plugin.registry import registry
from robench.records.consistent import check_files
from robench.records.protocols import GROUP, Protocol
from robench.records.store import artefact, check_choices, read
from robench.run import reopen
from robench.run.config import Places, RunConfig, fixed_parts
from robench.run.pipeline import run
from robench.run.plan import check_packages, check_plan

USUAL = "sequential"
"""The certifier of a run that names none."""


def judge_record(folder: Path, protocol: Protocol, places: Places) -> tuple[Record, Path]:
    """Judge the model of a record under a protocol: its program, else its weights.

    Returns the new record, which is that of `robench run protocol=...` with the same model, and
    its folder. Raises UserError for a record without a model, with files that are not those that it
    names, of another data set, or whose components are not installed; and where the new record
    would take the place of one of another network.
    """
    record = read(folder)
    check_files(record, folder)
    kept = artefact(folder)
    if kept is None:
        raise UserError(
            f"expected a record that keeps its model, got {folder.name} without one; train it "
            f"again: robench run protocol={protocol.name} ..."
        )
    config = _config(record, protocol)
    if config.id == record.id:
        raise UserError(
            f"expected a record that is not under {protocol.name} yet, got {record.id}; "
            "robench verify judges it again"
        )
    _require_same(places.results / config.id, kept)
    check_plan(config)
    check_packages(config)
    return run(config, places, kept=kept)


def _require_same(there: Path, kept: Path) -> None:
    """A configuration does not say which machine trained, so two networks may share an id."""
    before = artefact(there)
    if before is not None and file_hash(before) != file_hash(kept):
        raise UserError(
            f"expected no record of another network in {there}, got one; move it away, or set "
            "results= to another folder"
        )


def _config(record: Record, protocol: Protocol) -> RunConfig:
    """What made a record's model, judged as a protocol says."""
    parts = fixed_parts(protocol)
    check_choices(record)
    given = record.config["dataset"]
    if given != protocol.dataset:
        wanted, got = "+".join(protocol.dataset), one_line("+".join(given))
        raise ConfigError(
            f"expected a model of {wanted}, which protocol {protocol.name} judges on, got one of "
            f"{got}" + (" with other options" if wanted == got else "")
        )
    plain = {name: part for name, part in record.config.items() if name != GROUP}
    config, unknown = reopen.system_config(plain)
    # The certifier is the run's to choose; one that is not known here has another's place taken.
    if unknown.keys() & record.config["certifier"].keys() or not config.certifier:
        parts["certifier"] = {USUAL: registry().get("certifier", USUAL).make()}
    return replace(config, **parts)
