"""What an audit found, beside the record: its images, and the examples that broke them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.audit.judge import Judge
from robench.base.errors import UserError
from robench.core.threat import Threat
from robench.records.arrays import audit_name
from robench.records.examples import differences, load_kept
from robench.records.store import EXAMPLES
from robench.records.support.held import AUDIT_TABLE as AUDIT_TABLE
from robench.records.support.held import with_checked
from robench.records.tables import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.data import Split
    from robench.core.record import Audit
    from robench.core.system import Deployed
    from robench.run.evidence import RunEvidence


@dataclass(frozen=True)
class Kept:
    """What an audit knows of M judged images; arrays have shape (M,)."""

    positions: NDArray[np.int64]
    """Which they are among the run's, ascending."""
    checked: NDArray[np.bool_]
    """Whether the checks looked at it, and not the strongest search alone."""
    clean: NDArray[np.bool_]
    """Whether it is right clean, a randomised model asked many times where the checks looked."""
    rows: NDArray[np.bool_]
    """Whether it is right under all rows, too, by the run's answer and where there are any by
    many."""
    held: NDArray[np.bool_]
    """Whether it is right after everything."""
    found: torch.Tensor
    """What the audit first broke each with, else the image: (M, C, H, W), uint8 on the grid, else
    float32 in [0,1]."""
    randomised: bool


def broken(rows: NDArray[np.bool_], held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which images the audit alone broke, so that their examples are kept: bool (M,).

    Those that a row breaks are shown by the rows' examples.
    """
    return rows & ~held


def keep(evidence: RunEvidence, number: int, threat: Threat, kept: Kept) -> None:
    """Add an audit's table, and the examples of what it alone broke, to what is written."""
    alone = torch.from_numpy(np.flatnonzero(broken(kept.rows, kept.held)))
    clean = evidence.test.images[torch.from_numpy(kept.positions)[alone]]
    evidence.arrays[audit_name(number)] = differences(kept.found[alone], clean)
    n = len(kept.positions)
    table = {
        "audit": np.full(n, number),
        "position": kept.positions,
        "image": evidence.numbers[kept.positions],
        "norm": np.full(n, threat.norm),
        "eps": np.full(n, threat.eps),
        "randomised": np.full(n, kept.randomised),
        "checked": kept.checked,
        "clean": kept.clean,
        "rows": kept.rows,
        "held": kept.held,
    }
    before = evidence.tables.get(AUDIT_TABLE)
    if before is not None:
        table = {name: np.concatenate([before[name], table[name]]) for name in table}
    evidence.tables[AUDIT_TABLE] = table


def read_audit_table(folder: Path, number: int) -> dict[str, NDArray[Any]]:
    """The table of a record's `number`-th audit; raises UserError when missing or damaged."""
    path = folder / f"{AUDIT_TABLE}.parquet"
    table = read_columns(path)
    if missing := {"audit", "position", "randomised", "rows", "held"} - set(table):
        raise UserError(f"expected columns {', '.join(sorted(missing))} in {path}")
    mine = table["audit"] == number
    return {name: column[mine] for name, column in with_checked(table).items()}


def held_again(
    folder: Path,
    number: int,
    audit: Audit,
    table: Mapping[str, NDArray[Any]],
    deployed: Deployed,
    judged: Split,
    grid: bool,
) -> tuple[NDArray[np.bool_], bool]:
    """Judge an audit's examples again: which `judged` images hold now, and whether all are legal.

    Raises UserError when the table names other images than the record has.
    """
    index = torch.from_numpy(table["position"].copy())
    there = bool(((index >= 0) & (index < len(judged))).all())
    if not there or len(index) not in (audit.n, len(judged)):
        raise UserError(f"expected {audit.n} or all of {len(judged)} images in the audit's table")
    test = judged.take(index)
    alone = broken(table["rows"].astype(bool), table["held"].astype(bool))
    at, found = load_kept(folder / EXAMPLES, audit_name(number), test.images, alone)
    judge = Judge(deployed, bool(table["randomised"][0]))
    images = test.float_images()
    held = judge.right(images, test.labels)
    held[at] &= ~judge.wrong(found, test.labels[at])
    threat = Threat(audit.norm, audit.eps, grid)
    return held.numpy(), bool(threat.contains(found, images[at]).all())
