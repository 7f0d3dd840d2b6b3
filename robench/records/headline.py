"""The headline of a record under a threat: per image, the smallest thing that is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.core.outcomes import clean_score, scores_by_threat
from robench.records.support.held import AUDIT_TABLE, require_columns, with_checked
from robench.records.tables import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.outcomes import Outcomes
    from robench.core.record import Record

    Table = Mapping[str, NDArray[Any]]


def audit_table(folder: Path) -> Table | None:
    """The table of a record's audits, column by column; None where it keeps none.

    Raises UserError for a damaged one.
    """
    path = folder / f"{AUDIT_TABLE}.parquet"
    if not path.is_file():
        return None
    table = read_columns(path)
    require_columns(table, path)
    return with_checked(table)


def headline(
    record: Record, outcomes: Outcomes, table: Table | None, norm: str, eps: float
) -> NDArray[np.bool_]:
    """Which judged images hold: right clean, under every row of the threat and after its audit.

    Bool (images,), in the order of the outcomes. `table` is the record's `audit_table`; an image
    that the audit did not look at is known by the rows alone. It holds nowhere where a row, the
    worst case or the audit says that it does not. Raises UserError for a table of other images.
    """
    holds = clean_score(outcomes).right.copy()
    for row in scores_by_threat(outcomes, record.budgets()).get((norm, eps), []):
        holds &= row.right
    if table is not None:
        mine = (table["norm"] == norm) & (table["eps"] == eps)
        fell = table["position"][mine & ~table["held"]]
        if len(fell) and not 0 <= fell.min() <= fell.max() < len(holds):
            raise UserError(f"expected positions of {len(holds)} images in the audit's table")
        holds[fell] = False
    return holds
