"""What a row shows first: per image the smallest thing known, over all records that feed it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from robench.core.record import Record
from robench.leaderboard.read.threat import Threat
from robench.leaderboard.read.twins import Settled
from robench.records.headline import Headline, audit_table
from robench.records.headline import headlines as known
from robench.records.tables import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

CERTIFICATES = "certificates.parquet"


def headlines(settled: Settled, told: Record) -> dict[Threat, Headline]:
    """The headline of each threat that a row was attacked under; `told` is its record as shown.

    Verified challenges are rows of the settled outcomes. Raises UserError for a damaged table.
    """
    tables = [audit_table(claim.folder) for claim in settled.claims]
    found = known(told, settled.outcomes, tables)
    return {Threat(*threat): one for threat, one in found.items()}


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
    found = record.find_all("certified_accuracy", radius=radius)
    return any(value.value is not None for value in found)


def _certified(path: Path, radius: float, broken: Sequence[int]) -> NDArray[np.bool_]:
    # Only rows that certify need it, and it brings long arithmetic.
    from robench.smoothing.thresholds import squared_target

    table = read_columns(path)
    right: NDArray[np.bool_] = table["prediction"] == table["label"]
    return right & ~np.isin(table["image"], broken) & (table["radius2"] >= squared_target(radius))
