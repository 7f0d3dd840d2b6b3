"""Judge a record's saved examples again on the rebuilt deployed model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import wilson
from robench.core.record import AttackRow, Record
from robench.records.examples import load_examples, row_name
from robench.records.store import EXAMPLES, read_outcomes
from robench.replay.rebuild import rebuild
from robench.run.attacks import rows
from robench.run.audit_files import TABLE, held_again, read_table
from robench.run.audits import rows_by_threat
from robench.run.config import Places

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from robench.run.stages import Steps


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
    record, steps = rebuild(folder, places)
    if steps.data.hash != record.data.hash:
        raise UserError(f"expected data {record.data.hash}, got {steps.data.hash} in this folder")
    made = {(r.attack, r.access, r.threat.norm, r.threat.eps): r for r in rows(steps)}
    valid = [row for row in record.rows if row.status != "invalid"]
    verifications = []
    for index, row in enumerate(valid):
        images = load_examples(folder / EXAMPLES, row_name(index), steps.test.images)
        part = outcomes[_same_row(outcomes, row)]
        labels = steps.system.deployed.predict(images).numpy()
        different = _different(labels, part, steps.system.deployed.randomised)
        same = made.get((row.attack, row.access, row.norm, row.eps))
        clean = steps.test.float_images()
        noise = same is not None and same.component.search == "noise"
        legal = noise or (same is not None and bool(same.threat.contains(images, clean).all()))
        verifications.append(
            Verification(row.attack, row.access, row.eps, len(labels), different, legal)
        )
    if record.audit and not (folder / f"{TABLE}.parquet").is_file():
        text = "was written before audits kept their examples: its audits are not judged again"
        print(f"robench: {folder.name} {text}", file=sys.stderr)  # noqa: T201
        return verifications
    budgets = {row.attack: row.budgets for row in made.values() if row.budgets}
    together = rows_by_threat(outcomes, budgets)
    for number, audit in enumerate(record.audit):
        under = [score.right for score in together.get((audit.norm, audit.eps), ())]
        verifications.append(_audit_again(folder, record, number, under, steps))
    return verifications


def _different(labels: NDArray[np.int64], part: pd.DataFrame, randomised: bool) -> int:
    """Labels that are others now; of a randomised model, all when its accuracy left the interval.

    Its answers are new each time, so that only the share of right ones can be compared.
    """
    recorded = part.prediction.to_numpy()
    if not randomised:
        return int((labels != recorded).sum())
    truth = part.label.to_numpy()
    low, high = wilson(int((recorded == truth).sum()), len(truth))
    return 0 if low <= float((labels == truth).mean()) <= high else len(truth)


def _audit_again(
    folder: Path, record: Record, number: int, under: list[NDArray[np.bool_]], steps: Steps
) -> Verification:
    """Judge an audit's examples again, and count its audited accuracy anew."""
    audit = record.audit[number]
    table = read_table(folder, number)
    held, legal = held_again(folder, number, audit, table, steps)
    recorded = record.find("audited_accuracy", norm=audit.norm, eps=audit.eps)
    if not under or recorded is None or recorded.value is None:
        raise UserError(f"expected rows and an audited accuracy for each audit in {folder}")
    if table.randomised.iloc[0]:  # new answers: the share is compared, not the images
        share = float((held & table.rows.to_numpy()).mean())
        low, high = wilson(int(table.held.sum()), audit.n)
        different = 0 if low <= share <= high else audit.n
    else:
        held &= np.logical_and.reduce([right[table.position.to_numpy()] for right in under])
        different = int((held != table.held.to_numpy()).sum())
    different = max(different, abs(round(recorded.value * audit.n) - int(table.held.sum())))
    return Verification(f"audit ({audit.level})", "", audit.eps, audit.n, different, legal)


def _same_row(outcomes, row: AttackRow):  # type: ignore[no-untyped-def]
    eps = outcomes.eps.isna() if row.eps is None else outcomes.eps == row.eps
    same = (outcomes.attack == row.attack) & (outcomes.access == row.access)
    return same & (outcomes.norm == row.norm) & eps
