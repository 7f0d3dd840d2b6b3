"""The headline of a record under a threat: per image, the smallest thing that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.files import has_file
from robench.core.outcomes import clean_score, scores_by_threat, worst_cases
from robench.core.record import share
from robench.records.support.held import AUDIT_TABLE, require_columns, with_checked
from robench.records.support.values import HEADLINE
from robench.records.tables import read_columns
from robench.records.words import LEAST, Said, word_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.core.outcomes import Outcomes
    from robench.core.record import Record, Value

    Table = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Subset:
    """An audit that looked at fewer images than were judged."""

    images: int
    of: int
    difference: float
    """Share of these that the rows leave and its searches break, in [0,1]."""

    @property
    def overstates(self) -> float:
        """By how much the headline does where the other images are like these, in [0,1]."""
        return self.difference * (1 - self.images / self.of)

    @property
    def said(self) -> Said:
        """The word of a headline that the audit of a part of its images refutes."""
        took = f"of {self.images} of the {self.of} images the audit left"
        points = f"{100 * self.difference:.1f} points fewer than the attacks"
        return Said("weak", f"overstates by {100 * self.overstates:.0f} points: {took} {points}")


@dataclass(frozen=True)
class Headline:
    """What is known of a system under one threat."""

    holds: NDArray[np.bool_]
    """Per judged image; none where no attack worked."""
    said: Said
    subset: Subset | None


def audit_table(folder: Path) -> Table | None:
    """The table of a record's audits, column by column; None where it keeps none.

    Raises UserError for a damaged one.
    """
    if not has_file(folder, f"{AUDIT_TABLE}.parquet"):
        return None
    path = folder / f"{AUDIT_TABLE}.parquet"
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


def headline_values(record: Record, outcomes: Outcomes, table: Table | None) -> tuple[Value, ...]:
    """The headline under each threat as the value `headline`, a share; raises as `headline`."""
    found = []
    for norm, eps in scores_by_threat(outcomes, record.budgets()):
        holds = headline(record, outcomes, table, norm, eps)
        found.append(share(HEADLINE, int(holds.sum()), len(holds), {"norm": norm, "eps": eps}))
    return tuple(found)


def headlines(
    record: Record, outcomes: Outcomes, tables: Sequence[Table | None]
) -> dict[tuple[str, float], Headline]:
    """The headline of each threat, a norm and an eps, that a system was attacked under.

    `tables` are the `audit_table`s of the records that know something of it. Raises as `headline`.
    """
    worst = [(s.norm, s.eps) for s in worst_cases(outcomes, record.budgets())]
    failed = [(row.norm, row.eps) for row in record.rows if row.status == "invalid"]
    found = {}
    for norm, eps in dict.fromkeys([*worst, *failed]):
        if eps is None:
            continue
        each = [headline(record, outcomes, table, norm, eps) for table in tables]
        holds = np.logical_and.reduce(each)
        said = word_of(record, outcomes.clean.label, norm, eps, holds)
        subset = next((one for table in tables if (one := _subset(table, norm, eps, holds))), None)
        if said.word == "holds" and subset and round(100 * subset.overstates) >= LEAST:
            said = subset.said
        found[norm, eps] = Headline(holds, said, subset)
    return found


def _subset(table: Table | None, norm: str, eps: float, holds: NDArray[np.bool_]) -> Subset | None:
    if table is None:
        return None
    mine = (table["norm"] == norm) & (table["eps"] == eps)
    images = int(mine.sum())
    if not 0 < images < len(holds):
        return None
    rows, held = (table[name][mine].astype(bool).mean() for name in ("rows", "held"))
    return Subset(images, len(holds), float(rows - held))
