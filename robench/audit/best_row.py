"""Does the audit beat the run's best row?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch

from robench.audit.contest import FAIL, NEVER, SUSPECT
from robench.audit.trial import USUAL
from robench.audit.verdict import difference, missed_finding
from robench.base.stats import paired
from robench.core.record import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def best_row(
    rows: Mapping[str, NDArray[np.bool_]],
    alone: Mapping[str, NDArray[np.bool_]],
    held: NDArray[np.bool_],
    level: str,
) -> Iterator[Finding]:
    """What a run's best row leaves and the audit does not: its best search, and all together.

    All say which of the same images are right clean and after it: bool (N,). What all searches
    break together counts in a quick audit; a full one tries so much that it always gains. A row
    that is surely weaker than the usual attack is a weak attack: it says nothing about the system,
    and passes.
    """
    if not rows:
        return
    row = min(rows, key=lambda name: int(rows[name].sum()))
    search = min(alone, key=lambda name: int(alone[name].sum()))
    weak = paired(rows[row], alone[USUAL]).low > 0
    mine = torch.from_numpy(rows[row])
    yield difference(
        "beats_best_row",
        mine,
        torch.from_numpy(alone[search]),
        **(NEVER if weak else {"suspect": SUSPECT, "fail": FAIL}),
        row=row,
        search=search,
    )
    if level != "quick":
        return
    yield missed_finding(
        "missed_by_best_row",
        ~torch.from_numpy(held),
        mine & (not weak),
        row=row,
    )
