"""What a row shows first: per image the smallest thing known, over all records that feed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from robench.core.outcomes import worst_cases
from robench.core.record import Record
from robench.leaderboard.read.threat import Threat
from robench.leaderboard.read.twins import Settled
from robench.records.headline import audit_table, headline
from robench.records.tables import read_columns
from robench.records.words import LEAST, Said, word_of
from robench.smoothing.thresholds import squared_target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robench.records.headline import Table

CERTIFICATES = "certificates.parquet"


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
    """What is known of a row under one threat."""

    holds: NDArray[np.bool_]
    """Per judged image; none where no attack worked."""
    said: Said
    subset: Subset | None


def headlines(settled: Settled, told: Record) -> dict[Threat, Headline]:
    """The headline of each threat that a row was attacked under; `told` is its record as shown.

    Verified challenges are rows of the settled outcomes. Raises UserError for a damaged table.
    """
    outcomes = settled.outcomes
    tables = [audit_table(claim.folder) for claim in settled.claims]
    worst = [(s.norm, s.eps) for s in worst_cases(outcomes, told.budgets())]
    failed = [(row.norm, row.eps) for row in told.rows if row.status == "invalid"]
    found = {}
    for norm, eps in dict.fromkeys([*worst, *failed]):
        if eps is None:
            continue
        each = [headline(told, outcomes, table, norm, eps) for table in tables]
        holds = np.logical_and.reduce(each)
        said = word_of(told, outcomes.clean.label, norm, eps, holds)
        subset = next((one for table in tables if (one := _subset(table, norm, eps, holds))), None)
        if said.word == "holds" and subset and round(100 * subset.overstates) >= LEAST:
            said = subset.said
        found[Threat(norm, eps)] = Headline(holds, said, subset)
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


def certified(settled: Settled, radius: float) -> NDArray[np.bool_] | None:
    """Per certified image whether it is right and certified at a radius in [0,1] L2, and no attack
    broke its certificate.

    None where a record does not say what it certifies at this radius, or keeps no certificates.
    Raises UserError for a damaged table.
    """
    audit = settled.record.certificates
    broken = [one.image for one in audit.broken] if audit else []
    paths = [one.folder / CERTIFICATES for one in settled.claims if _says(one.record, radius)]
    found = [_certified(path, radius, broken) for path in paths if path.is_file()]
    if not found or len({len(one) for one in found}) > 1:
        return None
    right: NDArray[np.bool_] = np.logical_and.reduce(found)
    return right


def _says(record: Record, radius: float) -> bool:
    value = record.get("certified_accuracy", radius=radius)
    return value is not None and value.value is not None


def _certified(path: Path, radius: float, broken: Sequence[int]) -> NDArray[np.bool_]:
    table = read_columns(path)
    right: NDArray[np.bool_] = table["prediction"] == table["label"]
    return right & ~np.isin(table["image"], broken) & (table["radius2"] >= squared_target(radius))
