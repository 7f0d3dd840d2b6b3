"""Records on disk: written whole or not at all, read with every check."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from robench.base.errors import CacheError, UserError, debugging, refusal_of
from robench.base.files import OLD, has_file, read_plain, settle, work_beside
from robench.base.hashing import file_hash
from robench.base.leftovers import sweep_leftovers
from robench.base.locks import locked
from robench.base.paths import inside
from robench.base.text import one_line, shortened
from robench.core.outcomes import Outcomes
from robench.core.record import RUN_KINDS, SCHEMA_VERSION, SYSTEM_KINDS, Record
from robench.records.shared import SHARED, elsewhere
from robench.records.tables import (
    read_frame,
    read_outcomes_file,
    write_columns,
    write_outcomes_file,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from robench.plugin.evidence import Evidence

RECORD, OUTCOMES, EXAMPLES = "record.json", "outcomes.parquet", "examples.npz"
PROGRAM, WEIGHTS = "program.robench", "model.safetensors"
"""The integer program that a record judged; where there is none, the trained network."""
FILE = "network"
"""The foreign file that a record judged, without its ending."""
RESERVED = {
    FILE,
    "record",
    "outcomes",
    "examples",
    "audit",
    "parent",
    "program",
    "model",
    "preview",
}
"""Names of files beside a record, without their endings: no metric's table has them."""
LOCKS = ".locks"
"""The folder of the locks of a results folder."""
LAST = "last"
"""The name of the record that was written last."""
SHOWN = 5
"""Records named at most where one is not found."""
MAX_RECORD_BYTES = 8 * 2**20
MAX_FILE = 4 * 2**30
"""Bytes of any other file of a record at most."""


def write(
    record: Record,
    evidence: Evidence,
    results: Path,
    *,
    model: Path,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> tuple[Record, Path]:
    """Write a record's folder under a temporary name and rename it to `results/<id>`.

    `model` is the file of the integer program or the foreign file that was judged, or of the
    trained network; `arrays` are the audit's examples. Returns the record with the digests of its
    files, and its folder.

    Raises CacheError when the disk refuses; then nothing of it is left.
    """
    # Both import torch, which reading a record does not need.
    from robench.records.examples import save_examples
    from robench.records.preview import save_preview

    folder = results / record.id
    work = work_beside(folder)
    try:
        results.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(results)
        work.mkdir()
        write_outcomes_file(evidence.outcomes, work / OUTCOMES)
        save_examples(evidence, work / EXAMPLES, arrays or {})
        shutil.copyfile(model, work / _kept_as(model))
        for name, table in evidence.tables.items():
            write_columns(table, inside(work, f"{name}.parquet"))
        files = {path.name: file_hash(path) for path in sorted(work.iterdir())}
        record = record.model_copy(update={"files": files})
        (work / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
        save_preview(evidence, work)
        for path in (*work.iterdir(), work):
            settle(path)
        _replace(work, folder)
    except BaseException as error:
        shutil.rmtree(work, ignore_errors=True)
        refused = refusal_of(error)
        if not refused or debugging():
            raise
        raise CacheError(
            f"expected to write results below {results}, got: {refused}; "
            "free some space or set results= to another folder"
        ) from error
    return record, folder


def artefact(folder: Path) -> Path | None:
    """The deployed model that a record keeps: its program or file, else its trained network.

    It may lie among the shared ones of the record's collection.
    """
    here = _names(folder, "")
    known = PROGRAM, *sorted(name for name in here if name.startswith(f"{FILE}.")), WEIGHTS
    found = next((name for name in known if name in here and has_file(folder, name)), None)
    return folder / found if found else next((path for _, path in shared_files(folder)), None)


def shared_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a record that lie beside its folder, among those that records share, by name."""
    if (folder.parent / SHARED).is_dir():
        with suppress(UserError):
            yield from elsewhere(folder, read(folder).files)


def _kept_as(model: Path) -> str:
    """The name of a model's file beside a record."""
    names = {".safetensors": WEIGHTS, ".robench": PROGRAM}
    return names.get(model.suffix, f"{FILE}{model.suffix}")


def _replace(work: Path, folder: Path) -> None:
    """Put a finished folder in the place of the record's; one writer a record at a time."""
    old = work.with_suffix(OLD)
    locks = folder.parent / LOCKS
    locks.mkdir(exist_ok=True)
    with locked(locks / f"{folder.name}.lock"):
        if folder.is_dir():
            folder.rename(old)
        try:
            work.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        settle(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def find(name: str | Path, results: Path = Path("results")) -> Path:
    """A record's folder from its path, its record.json, its id (or its beginning), or `last`.

    Raises UserError when there is none, or several.
    """
    path = Path(name)
    if path.name == RECORD:
        path = path.parent
    if os.path.isfile(path / RECORD):  # false for what no path can be, too
        return path
    begun = sorted(
        results / one for one in _names(results, str(name)) if (results / one / RECORD).is_file()
    )
    if len(begun) == 1 and str(name) != LAST:
        return begun[0]
    there = begun or sorted(
        (path.parent for path in results.glob(f"[!.]*/{RECORD}")),
        key=lambda folder: (folder / RECORD).stat().st_mtime,
    )
    if str(name) == LAST and there:
        return there[-1]
    shown = ", ".join(one.name for one in reversed(there[-SHOWN:])) or "none"
    which = f"{len(begun)} matches: {shown}" if begun else f"no match; the latest are: {shown}"
    raise UserError(
        f"expected a record folder or the beginning of one id in {results}, got "
        f"{shortened(str(name))!r} with {which}"
    )


def _names(results: Path, beginning: str) -> list[str]:
    """What of a folder begins so: with a hundred thousand records beside it, all are listed once,
    and none is opened."""
    try:
        return [one for one in os.listdir(results) if one.startswith(beginning)]
    except OSError:
        return []


def read(folder: Path) -> Record:
    """Read and check one record; raises UserError naming the file and the first thing wrong."""
    path = folder / RECORD
    return parse(read_json(path), path)


def read_json(path: Path) -> bytes:
    """The bytes of a record.json; raises UserError when there is none, or too many."""
    try:
        return read_plain(path, MAX_RECORD_BYTES)
    except OSError as error:
        raise UserError(f"expected a record at {path}, got: {error}") from error


def parse(data: bytes, path: Path) -> Record:
    """The record that bytes read from `path` say; raises like `read`."""
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        # What was got is all of the record, once more for each thing that is wrong with it.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = one_line(".".join(map(str, first["loc"]))) or "the file"
        raise UserError(
            f"expected a record of schema version {SCHEMA_VERSION} in {path}, got {where}: "
            f"{first['msg']}"
        ) from error


def check_choices(record: Record) -> None:
    """Raise UserError unless the configuration maps each kind's choices to their options."""
    for kind in (*RUN_KINDS, "access"):
        chosen = record.config.get(kind)
        if not isinstance(chosen, dict) or not all(isinstance(v, dict) for v in chosen.values()):
            raise UserError(f"expected config.{kind} to map choices to options")


def read_outcomes(folder: Path) -> Outcomes:
    """The outcomes of a record's folder; raises UserError when they are missing or damaged."""
    return read_outcomes_file(folder / OUTCOMES)


def read_table(folder: Path, name: str) -> pd.DataFrame | None:
    """A table that a metric added to a record, or None; raises UserError for a damaged one."""
    path = inside(folder, f"{name}.parquet")
    return read_frame(path) if os.path.lexists(path) else None


def folders(root: Path) -> Iterator[Path]:
    """Every folder below `root` (itself included) that holds a record, sorted."""
    for path in sorted(root.rglob(RECORD)):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path.parent


def value_rows(record: Record) -> Iterator[dict[str, object]]:
    """What is known of a record, a row a value; an axis whose name is taken gets `axis_` first."""
    about: dict[str, object] = {
        "record": record.id,
        "status": record.status,
        "seed": record.seed,
        "images": record.data.images,
        "protocol": record.protocol,
    }
    about |= {kind: "+".join(record.config[kind]) for kind in SYSTEM_KINDS}
    for value in record.known:
        row = {**about, **dict(value)}
        del row["axes"]
        yield {**row, **_axes(value.axes, row)}


def _axes(axes: Mapping[str, object], taken: Mapping[str, object]) -> dict[str, object]:
    return {f"axis_{name}" if name in taken else name: value for name, value in axes.items()}
