"""An audit's table: which of its images held, and the values that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import Paired, count, paired
from robench.core.outcomes import Outcomes, Score
from robench.core.record import Audit, Axis, Record, Value, share
from robench.core.threat import eps_text
from robench.records.support.values import ROUNDING, words
from robench.records.tables import read_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Table = Mapping[str, NDArray[Any]]

AUDIT_TABLE = "audit"
"""The table's name: a row per audit of the record and audited image."""
KINDS = {
    "audit": "iu",
    "position": "iu",
    "image": "iu",
    "norm": "O",
    "eps": "f",
    "randomised": "b",
    "clean": "b",
    "rows": "b",
    "held": "b",
}
CHECKED = "checked"
"""A column that older tables lack: whether the checks looked at an image. In these they looked at
all that the table holds."""
"""Its columns and their kinds of numbers, as numpy calls them."""


def audited_value(audit: Audit, hits: int, n: int) -> Value:
    """The audited accuracy of an audit after which so many of `n` images are right."""
    axes: dict[str, Axis] = {"norm": audit.norm, "eps": audit.eps}
    return share("audited_accuracy", min(max(hits, 0), n), n, axes)


def gained_value(row: Score, pair: Paired) -> Value:
    """What a row leaves right and the audit does not, as a value."""
    return Value(
        metric="gained_by_masking",
        value=pair.difference,
        low=pair.low,
        high=pair.high,
        n=pair.n,
        unit="share",
        better="lower",
        axes=row.axes,
    )


def said_gain(record: Record, audit: Audit, row: Score) -> Value:
    """What the record says that a row gained; raises UserError unless it says so once."""
    found = [
        value
        for value in record.values
        if value.metric == "gained_by_masking" and value.axes == row.axes
    ]
    if len(found) != 1:
        where = f"{audit.norm} {eps_text(audit.eps)}"
        what = f"gained_by_masking of {row.attack} ({row.access}) at {where}"
        raise UserError(f"expected {what} once, got it {len(found)} times")
    return found[0]


def said_pair(value: Value, n: int) -> Paired:
    """A gain as the record has it; raises UserError where it has no number or no interval."""
    if value.value is None or value.low is None or value.high is None:
        raise UserError(f"expected a number and an interval of {words(value)}")
    return Paired(value.value, value.low, value.high, 0, 0, n)


def require_columns(table: Table, path: Path) -> None:
    """Raise UserError unless the table has the columns of an audit's, each of its kind."""
    for name, kinds in KINDS.items():
        if name not in table or table[name].dtype.kind not in kinds:
            raise UserError(f"expected a column {name} of its kind in {path.name}")
    if table.get(CHECKED, table["held"]).dtype.kind != "b":
        raise UserError(f"expected a column {CHECKED} of its kind in {path.name}")


def with_checked(table: Table) -> Table:
    """The table with the column that older ones lack."""
    return {CHECKED: np.ones(len(table["held"]), dtype=bool), **table}


def read_tables(path: Path, record: Record) -> list[Table]:
    """The table, cut into the audits of the record; raises UserError for another table."""
    table = read_columns(path)
    require_columns(table, path)
    audits = table["audit"]
    if len(audits) and not 0 <= audits.min() <= audits.max() < len(record.audit):
        raise UserError(f"expected the record's {len(record.audit)} audits in {path.name}")
    names = [*KINDS, *([CHECKED] if CHECKED in table else [])]
    cut = _places(audits, len(record.audit))
    return [{name: table[name][mine] for name in names} for mine in cut]


def _places(audits: NDArray[np.integer], count: int) -> list[Any]:
    """Where each audit stands in the table; robench writes them one after the other."""
    if (audits[1:] < audits[:-1]).any():
        return [audits == number for number in range(count)]
    edges = np.searchsorted(audits, np.arange(count + 1)).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]


@dataclass(frozen=True)
class Held:
    """One audit's images: what its table says of them, checked against the outcomes."""

    record: Record
    audit: Audit
    rows: Sequence[Score]
    outcomes: Outcomes
    table: Table

    def __post_init__(self) -> None:
        audit, table = self.audit, self.table
        name = f"the table of the audit of {audit.norm} {eps_text(audit.eps)}"
        position, clean = table["position"], self.outcomes.clean
        if self.record.config.get("protocol") and CHECKED not in table:
            raise UserError(f"expected {name} to say which images the checks looked at")
        n = self._expected()
        if len(position) != n or len(set(position.tolist())) != n:
            raise UserError(f"expected {n} images in {name}, each once")
        if self.checked.sum() != audit.n:
            raise UserError(f"expected {audit.n} images in {name} that the checks looked at")
        if position.min() < 0 or position.max() >= len(clean):
            raise UserError(f"expected positions of judged images in {name}")
        if not np.array_equal(table["image"], clean.image[position]):
            raise UserError(f"expected the images at their positions in {name}, got others")
        if (table["norm"] != audit.norm).any() or (table["eps"] != audit.eps).any():
            raise UserError(f"expected {audit.norm} {eps_text(audit.eps)} throughout {name}")
        if not n or table["randomised"].any() != table["randomised"].all():
            raise UserError(f"expected one answer in {name} to whether the system is randomised")
        if (table["held"] & ~(table["clean"] & table["rows"])).any():
            raise UserError(f"expected held images of {name} to be right clean and under all rows")
        self._check_answers(name)

    def _expected(self) -> int:
        """All judged images, unless the configuration says how many, or the table is older."""
        some = self.record.config["audit"].get("images") is not None or CHECKED not in self.table
        return self.audit.n if some else self.record.data.images

    @property
    def checked(self) -> NDArray[np.bool_]:
        """Which of the table's images the checks looked at."""
        found: NDArray[np.bool_] = self.table.get(CHECKED, np.ones_like(self.table["held"]))
        return found

    @property
    def randomised(self) -> bool:
        """Whether the system answers anew, so that the audit's answers are not the outcomes'."""
        return bool(self.table["randomised"][0])

    def _check_answers(self, name: str) -> None:
        """A deterministic system gives the audit the answers that it gave the rows."""
        at = self.table["position"]
        under = np.logical_and.reduce([row.right[at] for row in self.rows])
        if self.randomised:
            # Older audits of such systems went by their own answers alone.
            if CHECKED in self.table and (self.table["rows"] & ~under).any():
                raise UserError(f"expected no image of {name} to stand what a row breaks")
            return
        if not np.array_equal(self.table["clean"], self.outcomes.clean.right[at]):
            raise UserError(f"expected the clean answers of the outcomes in {name}, got others")
        if not np.array_equal(self.table["rows"], under):
            raise UserError(f"expected the rows' answers of the outcomes in {name}, got others")
        for row in self.outcomes.attacked:
            still = (row.linf == 0) & (row.prediction != row.clean_prediction)
            if still.any():
                raise UserError(
                    f"expected one answer to an image that {row.attack} left as it was, got two, "
                    f"though {name} calls the system deterministic"
                )

    def audited(self) -> Value:
        """The audited accuracy."""
        held = self.table["held"]
        return audited_value(self.audit, count(held), len(held))

    def gained(self) -> list[Value]:
        """What each row gained, as the table has it.

        A randomised system is asked many times about each row where the checks looked, and the
        table keeps these answers together: of one row they are the row's, of several they bound
        each.
        """
        at, held = self.table["position"], self.table["held"]
        if not self.randomised:
            return [gained_value(row, paired(row.right[at], held)) for row in self.rows]
        together, held = self.table["rows"][self.checked], held[self.checked]
        if len(self.rows) == 1:
            return [gained_value(self.rows[0], paired(together, held))]
        return [self._bounded(row, float((together & ~held).mean())) for row in self.rows]

    def _bounded(self, row: Score, least: float) -> Value:
        value = said_gain(self.record, self.audit, row)
        stated = said_pair(value, self.audit.n)
        if stated.difference < least - ROUNDING:
            raise UserError(
                f"expected {words(value)} of at least {least:.6g} by the audit's table, got "
                f"{stated.difference}"
            )
        return gained_value(row, stated)
