"""A forger who knows the format: changes a record, and makes its numbers agree again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from robench.base.hashing import file_hash
from robench.core.outcomes import Outcomes, RowOutcomes, clean_score, scores, worst_cases
from robench.core.pixels import stored
from robench.core.record import Record
from robench.core.threat import distance
from robench.records.arrays import row_name
from robench.records.examples import differences, load_kept, shown
from robench.records.store import EXAMPLES, OUTCOMES, RECORD, read, read_outcomes
from robench.records.tables import read_columns, write_columns, write_outcomes_file
from robench.records.weaker import weaker
from robench.replay.subject import Subject, open_subject
from robench.run.config import Places


def subject(folder: Path, places: Places) -> Subject:
    return open_subject(folder, read(folder), read_outcomes(folder), places, 0)


def seal(folder: Path) -> None:
    """Make every value follow from the outcomes and the audit's table, and every digest hold."""
    record, outcomes = read(folder), read_outcomes(folder)
    found = {("clean_accuracy", None, None, None, None): clean_score(outcomes).value}
    for metric, right in (("attacked_accuracy", False), ("robust_accuracy", True)):
        for score in scores(outcomes, record.budgets(), when_clean_right=right):
            found[metric, score.attack, score.access, score.norm, score.eps] = score.value
    for score in worst_cases(outcomes, record.budgets()):
        found["worst_case_accuracy", score.attack, score.access, score.norm, score.eps] = (
            score.value
        )
    if (folder / "audit.parquet").is_file():
        table = read_columns(folder / "audit.parquet")
        for number, audit in enumerate(record.audit):
            held = table["held"][table["audit"] == number].mean()
            found["audited_accuracy", None, None, audit.norm, audit.eps] = float(held)
    values = []
    for value in record.values:
        axes = [value.axes.get(name) for name in ("attack", "access", "norm", "eps")]
        new = found.get((value.metric, *axes), value.value)
        values.append(value.model_copy(update={"value": new}))
    files = {name: file_hash(folder / name) for name in record.files}
    beaten = weaker(record.rows, outcomes, record.queries_only or ())
    rows = tuple(
        row.model_copy(update={"weaker": one}) for row, one in zip(record.rows, beaten, strict=True)
    )
    changed = {"values": tuple(values), "files": files, "rows": rows}
    write_record(folder, record.model_copy(update=changed))


def write_record(folder: Path, record: Record) -> None:
    (folder / RECORD).write_text(record.model_dump_json())


def edit_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    text = json.loads((folder / RECORD).read_text())
    change(text)
    (folder / RECORD).write_text(json.dumps(text))


def edit_rows(folder: Path, change: Callable[[RowOutcomes], RowOutcomes | None]) -> None:
    rows = [change(row) for row in read_outcomes(folder).rows]
    write_outcomes_file(Outcomes(tuple(row for row in rows if row)), folder / OUTCOMES)


def edit_table(path: Path, **columns: Any) -> None:
    write_columns({**read_columns(path), **columns}, path)


def edit_examples(folder: Path, **arrays: NDArray[Any]) -> None:
    with np.load(folder / EXAMPLES) as stored:
        kept = {name: stored[name] for name in stored.files}
    np.savez_compressed(folder / EXAMPLES, allow_pickle=False, **(kept | arrays))


def every_example(folder: Path, row: int, clean: torch.Tensor) -> torch.Tensor:
    """A row's examples, clean images where none is kept."""
    kept = shown(read_outcomes(folder).attacked)[row]
    at, found = load_kept(folder / EXAMPLES, row_name(row), clean, kept)
    return (clean.float() / 255).index_copy(0, at, found)


def with_examples(
    folder: Path, places: Places, change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> None:
    """Replace every row's examples by `change(examples, clean)`, labels and distances with them."""
    known = subject(folder, places)
    clean, arrays, at = known.test.images, {}, -1

    def judged(row: RowOutcomes) -> RowOutcomes:
        nonlocal at
        if row.attack == "clean":
            return row
        at += 1
        images = change(every_example(folder, at, clean), clean.float() / 255)
        arrays[row_name(at)] = differences(stored(images, True), clean)
        far = {norm: distance(images, clean.float() / 255, norm).numpy() for norm in ("linf", "l2")}
        return replace(row, prediction=known.labels(images, "forged").astype(np.int16), **far)

    edit_rows(folder, judged)
    edit_examples(folder, **arrays)
    seal(folder)


def invent_audit(folder: Path, places: Places) -> None:
    """Say that the audit broke nothing."""
    table = read_columns(folder / "audit.parquet")
    shape = subject(folder, places).test.images.shape[1:]
    edit_table(folder / "audit.parquet", held=table["clean"], rows=table["clean"])
    edit_examples(folder, audit0=np.zeros((len(table["clean"]), *shape), np.uint8))
    seal(folder)
