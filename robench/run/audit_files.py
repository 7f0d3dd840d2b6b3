"""What an audit found, beside the record: its images, and the examples that broke them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from robench.audit.judge import Judge
from robench.base.errors import UserError
from robench.core.threat import Threat
from robench.records.examples import differences, load_examples
from robench.records.store import EXAMPLES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.core.record import Audit
    from robench.plugin.evidence import Evidence
    from robench.run.evidence import RunEvidence
    from robench.run.examination import Examined

TABLE = "audit"
"""The table's name: a row per audit of the record and audited image."""


def array_name(number: int) -> str:
    """The name of the `number`-th audit's examples."""
    return f"audit{number}"


def keep(
    evidence: RunEvidence,
    number: int,
    threat: Threat,
    index: torch.Tensor,
    examined: Examined,
    rows: NDArray[np.bool_],
) -> None:
    """Add an audit's table and examples to what is written; `rows`: right under all rows, (N,)."""
    clean = evidence.test.images[index]
    evidence.arrays[array_name(number)] = differences(examined.found, clean, threat.grid)
    table = pd.DataFrame(
        {
            "audit": number,
            "position": index.numpy(),
            "image": evidence.numbers[index.numpy()],
            "norm": threat.norm,
            "eps": threat.eps,
            "randomised": examined.randomised,
            "clean": examined.clean,
            "rows": rows,
            "held": examined.held & rows,
        }
    )
    before = evidence.tables.get(TABLE)
    evidence.tables[TABLE] = table if before is None else pd.concat([before, table])


def read_table(folder: Path, number: int) -> pd.DataFrame:
    """The table of a record's `number`-th audit; raises UserError when missing or damaged."""
    path = folder / f"{TABLE}.parquet"
    try:
        table = pd.read_parquet(path)
        return table[table.audit == number]
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"expected the audit's table at {path}, got: {error}") from error


def held_again(
    folder: Path, number: int, audit: Audit, table: pd.DataFrame, evidence: Evidence, grid: bool
) -> tuple[NDArray[np.bool_], bool]:
    """Judge an audit's examples again: which images hold now, and whether all are legal.

    Raises UserError when the table names other images than the record has.
    """
    index = torch.from_numpy(table.position.to_numpy(copy=True))
    if len(index) != audit.n or not bool(((index >= 0) & (index < len(evidence.test))).all()):
        raise UserError(f"expected {audit.n} of {len(evidence.test)} images in the audit's table")
    test = evidence.test.take(index)
    found = load_examples(folder / EXAMPLES, array_name(number), test.images)
    judge = Judge(evidence.system.deployed, bool(table.randomised.iloc[0]))
    images = test.float_images()
    held = judge.right(images, test.labels) & ~judge.wrong(found, test.labels)
    threat = Threat(audit.norm, audit.eps, grid)
    return held.numpy(), bool(threat.contains(found, images).all())
