"""Whether all that a record says follows from what lies beside it: cheap, and done on every intake.

What contradicts itself or its files is an error. What nothing stored speaks of is named and lowers
the record's level: a missing table is never a pass. That the files are those of an honest run is
not shown here; `robench.replay.verify` judges them again.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from robench.base.errors import UserError, bad_input
from robench.base.files import require_plain
from robench.base.hashing import file_hash, is_hash
from robench.base.text import one_line, shortened
from robench.base.turns import Steps, at_once
from robench.core.outcomes import Outcomes
from robench.core.record import (
    AGREEMENT_EXPECTED,
    RUN_KINDS,
    SYSTEM_KINDS,
    Record,
    run_id,
)
from robench.core.threat import ThreatConfig
from robench.plugin.components import Compressor
from robench.plugin.registry import registry
from robench.records.arrays import check_arrays
from robench.records.protocol import ACCESSES, maker, protocol, settings
from robench.records.protocols import GROUP, broken, check_named, is_installed, protocols
from robench.records.shared import MODEL, missing, place
from robench.records.store import EXAMPLES, MAX_FILE, OUTCOMES, check_choices, read, read_outcomes
from robench.records.support.attacked import check_attacked
from robench.records.support.audits import check_audits
from robench.records.support.complete import check_complete
from robench.records.support.declared import check_options, read_recorded
from robench.records.support.files import check_file
from robench.records.support.rows import (
    check_asked,
    check_outcomes,
    check_queries_only,
    check_spent,
)
from robench.records.support.values import check_accuracies
from robench.records.support.votes import check_certificates, check_predictions
from robench.records.tables import read_outcomes_file
from robench.training.recipe import TrainConfig

KINDS = (*RUN_KINDS, "access")
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
"""A file's name, without a folder."""
PROOF = re.compile(r".*\.(parquet|npz|robench|safetensors)|network\..*")
"""Files that prove something, so that the record must name them."""
LONGEST = 400
"""Letters of how a record contradicts itself."""
NOTHING = "none"
"""The compressor that leaves a network as it is."""
CHALLENGE = re.compile(r"challenge-[0-9a-f]{16}\.npz")
"""Files that others add to a record."""


@dataclass(frozen=True)
class Inspected:
    """A record without a contradiction, and what of it nothing stored supports."""

    record: Record
    outcomes: Outcomes
    unfounded: tuple[str, ...]
    """In words; empty of a record that is consistent."""


def inspect(folder: Path) -> Inspected:
    """Read a record and hold it against its files; raises UserError for a contradiction."""
    record = read(folder)
    check_config(record)
    return at_once(hold(record, folder))


def contradiction(record: Record, folder: Path) -> str:
    """How a record contradicts itself or its files, on one line; nothing where it does not.

    Where its model is not here, only what its outcomes tell. Raises UserError where these cannot be
    read.
    """
    outcomes = read_outcomes(folder)
    if gone := missing(folder, record.files):
        others = [name for name in gone if not MODEL.fullmatch(name)]
        told = f"it names {', '.join(others)}, and no such file is here" if others else ""
        return shortened(one_line(told), LONGEST) or contradiction_told(record, outcomes)
    try:
        inspect(folder)
    except UserError as error:
        return shortened(one_line(error), LONGEST)
    return ""


def contradiction_told(record: Record, outcomes: Outcomes) -> str:
    """The same of what its configuration and its outcomes tell, for many records: no file is
    hashed and no plugin asked."""
    try:
        with bad_input("expected a record that can be checked"):
            check_config(record)
            _check_identity(record)
            check_outcomes(record, outcomes)
            check_accuracies(record, outcomes)
    except UserError as error:
        return shortened(one_line(error), LONGEST)
    return ""


def hold(record: Record, folder: Path) -> Steps[Inspected]:
    """Hold a record, its configuration checked, against its files; raises like `inspect`."""
    # Options and tables may hold anything; what a check stumbles over is malformed.
    with bad_input("expected a record that can be checked"):
        return (yield from _held(record, folder))


def _held(record: Record, folder: Path) -> Steps[Inspected]:
    _check_identity(record)
    _check_bits(record)
    yield
    check_files(record, folder)
    yield
    _check_named_protocol(record)
    yield
    most = record.data.images * (len(record.rows) + 1)
    outcomes = read_outcomes_file(folder / OUTCOMES, rows=most)
    check_outcomes(record, outcomes)
    yield
    check_asked(record, outcomes)
    check_queries_only(record)
    yield
    _check_protocol(record)
    yield
    _check_agreement(record)
    check_accuracies(record, outcomes)
    yield
    check_spent(record, outcomes)
    yield
    unfounded = [*check_options(record), *check_audits(record, outcomes, folder)]
    yield
    unfounded += check_file(record, outcomes, folder)
    unfounded += check_certificates(record, outcomes, folder)
    unfounded += check_attacked(record, folder)
    unfounded += check_predictions(record, outcomes, folder)
    yield
    if record.config.get(GROUP):
        unfounded += check_complete(record, folder)
        yield
    check_arrays(record, folder / EXAMPLES)
    return Inspected(record, outcomes, tuple(unfounded))


def check_config(record: Record) -> None:
    """Raise UserError unless the configuration has the parts and settings of a run."""
    check_choices(record)
    config = record.config
    for kind in (*SYSTEM_KINDS, "access"):
        if not config[kind]:
            raise UserError(f"expected a choice in config.{kind}, got none")
    known = {
        "train": {field.name for field in fields(TrainConfig)},
        "threat": {field.name for field in fields(ThreatConfig)},
        "audit": {"level", "images", "checks"},
    }
    for name, options in known.items():
        given = config.get(name)
        if not isinstance(given, dict):
            raise UserError(f"expected config.{name} to hold options")
        if strange := set(given) - options:
            raise UserError(f"expected options of {name} in config.{name}, got {_names(strange)}")
    _check_settings(json.dumps([config["train"], config["threat"]]))
    if strange := set(config["access"]) - set(ACCESSES):
        raise UserError(f"expected access {' or '.join(ACCESSES)}, got {_names(strange)}")
    if strange := set(config) - {*KINDS, *known, "seed", "images", GROUP}:
        raise UserError(f"expected the settings of a run in config, got {_names(strange)}")
    for name, count in (("images", config.get("images")), ("audit", config["audit"].get("images"))):
        if count is not None and (type(count) is not int or count < 1):
            raise UserError(f"expected a number of images in config for {name}, got {count!r}")
    check_named(config.get(GROUP))


@lru_cache(4096)
def _check_settings(asked: str) -> None:
    """Raise UserError for a recipe that trains nothing, and for a threat that is none."""
    train, threat = json.loads(asked)
    TrainConfig(**read_recorded(TrainConfig, train, "train")).recipe()
    ThreatConfig(**read_recorded(ThreatConfig, threat, "threat"))


def _names(strange: set[str]) -> str:
    return ", ".join(repr(name[:80]) for name in sorted(strange))


def check_id(record: Record) -> None:
    """Raise UserError unless the id is the digest of the configuration."""
    if (wanted := run_id(record.config)) != record.id:
        raise UserError(f"expected id {wanted} for this configuration, got {record.id}")


def _check_identity(record: Record) -> None:
    check_id(record)
    config, data = record.config, record.data
    if config.get("seed") != record.seed:
        raise UserError(f"expected seed {config.get('seed')}, as in config, got {record.seed}")
    if [data.name] != list(config["dataset"]):
        raise UserError(f"expected data {_names(set(config['dataset']))}, got {data.name!r}")
    if data.images < 1 or (config.get("images") or data.images) < data.images:
        raise UserError(f"expected at most {config['images']} images, got {data.images}")
    wanted = {f"{kind}.{name}" for kind in RUN_KINDS for name in config[kind]}
    # Older records say nothing of certifiers.
    different = {
        name
        for name in wanted ^ set(record.provenance.components)
        if name not in wanted or not name.startswith("certifier.")
    }
    if different:
        raise UserError(f"expected versions of config's components, not so of {_names(different)}")


def _check_bits(record: Record) -> None:
    """Bits are those of the configuration; where it names none those of the file, or of the
    compressor where its version is here."""
    ((name, options),) = record.config["compressor"].items()
    if record.file is not None and (record.file.bits or record.bits) != record.bits:
        raise UserError(f"expected the file's {record.file.bits} bits, got {record.bits}")
    if record.bits is None:
        return
    wanted = options["bits"] if "bits" in options else _declared(record, name)
    if wanted not in (None, record.bits):
        raise UserError(f"expected {wanted} bits, as in config, got {record.bits}")


def _declared(record: Record, compressor: str) -> int | None:
    """Bits that a compressor without an option of this name says of itself."""
    if compressor == NOTHING:
        return record.file.bits if record.file else Compressor.bits
    choice = registry().choices["compressor"].get(compressor)
    if choice is None:
        return None
    stated = maker(record.provenance.components[f"compressor.{compressor}"])
    here: Any = choice.component
    # A property hangs on options, of which a class knows none.
    known = stated == (choice.distribution, str(here.version)) and type(here.bits) is int
    return here.bits if known else None


def check_files(record: Record, folder: Path) -> None:
    """Raise UserError unless the files are those that the record names; an older one names none."""
    if not record.files:
        return
    here = {name for name in os.listdir(folder) if PROOF.fullmatch(name)}
    if strange := {n for n in here - set(record.files) if not CHALLENGE.fullmatch(n)}:
        raise UserError(f"expected files that the record names, got {_names(strange)}")
    if OUTCOMES not in record.files:
        raise UserError(f"expected {OUTCOMES} among the files that the record names")
    for name, stated in record.files.items():
        if not FILE.fullmatch(name) or not is_hash(stated):
            raise UserError(f"expected a plain name and a SHA-256 in files, got {name[:80]!r}")
        path = place(folder, name, stated)
        try:
            require_plain(path)
        except FileNotFoundError:
            raise UserError(f"expected the file {name}, which the record names, got none") from None
        if (size := path.stat().st_size) > MAX_FILE:
            raise UserError(f"expected at most {MAX_FILE} bytes in {name}, got {size}")
        if file_hash(path) != stated:
            raise UserError(f"expected {name} as the record names it, got another file")


def _check_protocol(record: Record) -> None:
    known = settings(record.rows, record.config, record.provenance.components)
    wanted = protocol(record.data, record.rows, known)
    if wanted != record.protocol:
        raise UserError(
            f"expected protocol {wanted} for these rows and versions, got {record.protocol}"
        )


def _check_named_protocol(record: Record) -> None:
    """A record that names an installed protocol keeps it."""
    given = record.config.get(GROUP)
    if given and is_installed(given):
        named = protocols()[given["name"]]
        for change in broken(named, record):
            raise UserError(f"expected {change}: the record says that it is under {named.name}")


def _check_agreement(record: Record) -> None:
    said = record.agreement
    hits = said.equal_labels * said.n
    if said.n != record.data.images or abs(hits - round(hits)) > 1e-6 or not 0 <= hits <= said.n:
        raise UserError(f"expected agreement as a share of {record.data.images} images")
    shares = [share for share in (said.equal_labels, said.after_deploy) if share is not None]
    if said.flagged != (min(shares) < AGREEMENT_EXPECTED):
        raise UserError(f"expected agreement below {AGREEMENT_EXPECTED:.0%}, and no other, flagged")
