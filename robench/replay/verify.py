"""Judge a record's saved examples again on the rebuilt deployed model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import wilson
from robench.core.outcomes import RowOutcomes, rows_by_threat
from robench.core.record import Record
from robench.records.examples import load_examples, row_name
from robench.records.store import EXAMPLES, read_outcomes
from robench.replay.rebuild import Rebuilt, rebuild
from robench.run.audit_files import AUDIT_TABLE, held_again, read_audit_table
from robench.run.config import Places

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Verification:
    """One row, or one audit, judged again."""

    attack: str
    access: str
    eps: float | None
    n: int
    different: int
    """Images whose label, or whose standing after the audit, is another one now."""
    legal: bool
    """Whether all examples lie in the recorded threat model."""

    @property
    def equal(self) -> bool:
        """Whether the row stands as recorded."""
        return self.different == 0 and self.legal


def verify(folder: Path, places: Places) -> list[Verification]:
    """Re-score every valid row and every audit of a record on its integer program.

    A float model comes from the cache or is trained again, which is said. Rows of a randomised
    model stand when the accuracy of its new answers lies in the recorded interval.

    Raises UserError when the data differ or the record has no examples.
    """
    outcomes = read_outcomes(folder)
    rebuilt = rebuild(folder, places)
    record, evidence = rebuilt.record, rebuilt.evidence
    here = evidence.data.hash
    if here != record.data.hash:
        raise UserError(f"expected data {record.data.hash}, got {here} in this folder")
    asked = {(s.attack, s.access, s.threat.norm, s.threat.eps): s for s in rebuilt.scenarios}
    valid = [row for row in record.rows if row.status != "invalid"]
    verifications = []
    for index, row in enumerate(valid):
        images = load_examples(folder / EXAMPLES, row_name(index), evidence.test.images)
        part = outcomes.find(row.attack, row.access, row.norm, row.eps)
        labels = evidence.system.deployed.predict(images).numpy()
        different = _different(labels, part, evidence.system.deployed.randomised)
        same = asked.get((row.attack, row.access, row.norm, row.eps))
        clean = evidence.test.float_images()
        noise = same is not None and same.search == "noise"
        legal = noise or (same is not None and bool(same.threat.contains(images, clean).all()))
        verifications.append(
            Verification(row.attack, row.access, row.eps, len(labels), different, legal)
        )
    if record.audit and not (folder / f"{AUDIT_TABLE}.parquet").is_file():
        text = "was written before audits kept their examples: its audits are not judged again"
        print(f"robench: {folder.name} {text}", file=sys.stderr)  # noqa: T201
        return verifications
    budgets = {row.attack: row.budgets for row in asked.values() if row.budgets}
    together = rows_by_threat(outcomes, budgets)
    for number, audit in enumerate(record.audit):
        under = [score.right for score in together.get((audit.norm, audit.eps), ())]
        verifications.append(_audit_again(folder, record, number, under, rebuilt))
    return verifications


def _different(labels: NDArray[np.int64], part: RowOutcomes, randomised: bool) -> int:
    """Labels that are others now; of a randomised model, all when its accuracy left the interval.

    Its answers are new each time, so that only the share of right ones can be compared.
    """
    recorded = part.prediction
    if not randomised:
        return int((labels != recorded).sum())
    truth = part.label
    low, high = wilson(int((recorded == truth).sum()), len(truth))
    return 0 if low <= float((labels == truth).mean()) <= high else len(truth)


def _audit_again(
    folder: Path, record: Record, number: int, under: list[NDArray[np.bool_]], rebuilt: Rebuilt
) -> Verification:
    """Judge an audit's examples again, and count its audited accuracy anew."""
    audit = record.audit[number]
    table = read_audit_table(folder, number)
    grid = rebuilt.config.threat.grid
    held, legal = held_again(folder, number, audit, table, rebuilt.evidence, grid)
    recorded = record.find("audited_accuracy", norm=audit.norm, eps=audit.eps)
    if not under or recorded is None or recorded.value is None:
        raise UserError(f"expected rows and an audited accuracy for each audit in {folder}")
    if table["randomised"][0]:  # new answers: the share is compared, not the images
        share = float((held & table["rows"]).mean())
        low, high = wilson(int(table["held"].sum()), audit.n)
        different = 0 if low <= share <= high else audit.n
    else:
        held &= np.logical_and.reduce([right[table["position"]] for right in under])
        different = int((held != table["held"]).sum())
    different = max(different, abs(round(recorded.value * audit.n) - int(table["held"].sum())))
    return Verification(f"audit ({audit.level})", "", audit.eps, audit.n, different, legal)
