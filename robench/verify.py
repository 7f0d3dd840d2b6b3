"""Judge a record's saved examples again on the rebuilt deployed model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robench.attacking import rows
from robench.config import Places
from robench.errors import UserError
from robench.examples import load_examples
from robench.rebuild import rebuild
from robench.record import AttackRow
from robench.results import EXAMPLES, read_outcomes


@dataclass(frozen=True)
class Check:
    """One row judged again."""

    attack: str
    access: str
    eps: float | None
    n: int
    different: int
    """Images whose label is another one now."""
    legal: bool
    """Whether all examples lie in the recorded threat model."""

    @property
    def equal(self) -> bool:
        """Whether the row stands as recorded."""
        return self.different == 0 and self.legal


def verify(folder: Path, places: Places) -> list[Check]:
    """Re-score every valid row of a record on its integer program.

    A float model comes from the cache or is trained again, which is said.

    Raises UserError when the data differ or the record has no examples.
    """
    outcomes = read_outcomes(folder)
    record, steps = rebuild(folder, places)
    if steps.data.hash != record.data.hash:
        raise UserError(f"expected data {record.data.hash}, got {steps.data.hash} in this folder")
    made = {(r.attack, r.access, r.threat.norm, r.threat.eps): r for r in rows(steps)}
    valid = [row for row in record.rows if row.status != "invalid"]
    checks = []
    for index, row in enumerate(valid):
        images = load_examples(folder / EXAMPLES, index, steps.test.images)
        part = outcomes[_same_row(outcomes, row)]
        labels = steps.system.deployed.predict(images).numpy()
        different = int((labels != part.prediction.to_numpy()).sum())
        same = made.get((row.attack, row.access, row.norm, row.eps))
        clean = steps.test.float_images()
        noise = same is not None and same.component.search == "noise"
        legal = noise or (same is not None and bool(same.threat.contains(images, clean).all()))
        checks.append(Check(row.attack, row.access, row.eps, len(labels), different, legal))
    return checks


def _same_row(outcomes, row: AttackRow):  # type: ignore[no-untyped-def]
    eps = outcomes.eps.isna() if row.eps is None else outcomes.eps == row.eps
    same = (outcomes.attack == row.attack) & (outcomes.access == row.access)
    return same & (outcomes.norm == row.norm) & eps
