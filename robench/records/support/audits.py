"""The audits of a record, held against their own findings, the rows and the audit's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from robench.base.errors import UserError
from robench.base.stats import Paired, paired
from robench.core.outcomes import Outcomes, Score, clean_score, rows_by_threat, scores
from robench.core.record import (
    AUDITED,
    Audit,
    Axis,
    Finding,
    Record,
    Value,
    WeakAttack,
    share,
    worst,
)
from robench.records.compare import budgets
from robench.records.support.values import ROUNDING, require_values, words
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
    "norm": "U",
    "eps": "f",
    "randomised": "b",
    "clean": "b",
    "rows": "b",
    "held": "b",
}
"""Its columns and their kinds of numbers, as numpy calls them."""
METRICS = ("audited_accuracy", "gained_by_masking")


def check_audits(record: Record, outcomes: Outcomes, folder: Path) -> Iterator[str]:
    """Yield what no table supports; raises UserError for an audit that contradicts something."""
    threats = _audited(record, outcomes)
    said = [(audit.norm, audit.eps) for audit in record.audit]
    if said != list(threats):
        raise UserError(
            f"expected an audit of each of {_listed(threats)}, at level "
            f"{record.config['audit'].get('level')}, got {_listed(said)}"
        )
    found = [value for value in record.values if value.metric in METRICS]
    if not record.audit:
        require_values(found, [], "the audits")
        return
    for audit in record.audit:
        _check_audit(record, audit, outcomes)
    path = folder / f"{AUDIT_TABLE}.parquet"
    tables = _tables(path, record) if path.exists() else None
    wanted: list[Value] = []
    for number, (audit, rows) in enumerate(zip(record.audit, threats.values(), strict=True)):
        if tables is None:
            yield f"audit of {audit.norm} {audit.eps:g}: no audit table"
            wanted += _as_said(record, audit, rows)
            _check_weak(audit, rows, [_value(record, audit, row) for row in rows])
            continue
        held = _Held(record, audit, rows, outcomes, tables[number])
        wanted += held.values()
        _check_weak(audit, rows, held.gained())
    require_values(found, wanted, "the audits")


def _audited(record: Record, outcomes: Outcomes) -> dict[tuple[str, float], list[Score]]:
    """The threats that the configuration has audited, and their rows; none of one at chance."""
    if record.config["audit"].get("level") == "off" or record.status == "at_chance":
        return {}
    return rows_by_threat(outcomes, budgets(record))


def _listed(threats: Sequence[tuple[str, float]] | Mapping[tuple[str, float], Any]) -> str:
    return ", ".join(f"{norm} {eps:g}" for norm, eps in threats) or "none"


# -- an audit by itself ----------------------------------------------------------------------------


def _check_audit(record: Record, audit: Audit, outcomes: Outcomes) -> None:
    settings, name = record.config["audit"], f"the audit of {audit.norm} {audit.eps:g}"
    if audit.level != settings.get("level") or audit.level not in AUDITED:
        raise UserError(f"expected level {settings.get('level')} of {name}, got {audit.level}")
    n = min(settings.get("images") or AUDITED[audit.level], record.data.images)
    if audit.n != n:
        raise UserError(f"expected {n} images in {name}, got {audit.n}")
    if not audit.findings:
        raise UserError(f"expected findings in {name}, got none")
    for finding in audit.findings:
        _check_finding(finding, name)
    if audit.verdict != worst(finding.verdict for finding in audit.findings):
        raise UserError(f"expected the gravest of its findings in {name}, got {audit.verdict}")
    _check_above_clean(record, audit, outcomes, name)


def _check_finding(finding: Finding, name: str) -> None:
    """A finding weighs when its interval's lower end exceeds its threshold, and only then."""
    limits = finding.low, finding.threshold
    if None not in limits and (finding.low > finding.threshold) != (finding.verdict != "pass"):  # type: ignore[operator]
        raise UserError(
            f"expected the verdict of {finding.check} in {name} to follow from its threshold "
            f"{finding.threshold}, got {finding.verdict} at {finding.low}"
        )
    ends = [end for end in (finding.low, finding.value, finding.high) if end is not None]
    if ends != sorted(ends):
        raise UserError(f"expected low <= {finding.check} <= high in {name}, got {ends}")


def _check_above_clean(record: Record, audit: Audit, outcomes: Outcomes, name: str) -> None:
    """What the rows say of accuracy above clean is the outcomes'."""
    clean = clean_score(outcomes).right
    ball = {row.attack for row in outcomes.rows if row.search == "ball"}
    wanted = [
        paired(row.right, clean)
        for row in scores(outcomes, budgets(record), when_clean_right=False)
        if (row.norm, row.eps, row.access) == (audit.norm, audit.eps, "white_box")
        and row.attack in ball
    ]
    found = [finding for finding in audit.findings if finding.check == "above_clean"]
    same = len(found) == len(wanted) and all(
        _close((one.value, one.low, one.high), pair) and one.n == pair.n and one.threshold == 0
        for one, pair in zip(found, wanted, strict=True)
    )
    if not same:
        raise UserError(f"expected above_clean in {name} to follow from the outcomes table")


def _close(said: tuple[float | None, ...], pair: Paired) -> bool:
    wanted = pair.difference, pair.low, pair.high
    return all(a is not None and abs(a - b) <= ROUNDING for a, b in zip(said, wanted, strict=True))


def _value(record: Record, audit: Audit, row: Score) -> Value:
    found = [
        value
        for value in record.values
        if value.metric == "gained_by_masking" and value.axes == row.axes
    ]
    if len(found) != 1:
        what = f"gained_by_masking of {row.attack} ({row.access}) at {audit.norm} {audit.eps:g}"
        raise UserError(f"expected {what} once, got it {len(found)} times")
    return found[0]


def _check_weak(audit: Audit, rows: Sequence[Score], gained: Sequence[Value]) -> None:
    """The weak attacks are those that the audit surely beats, with the same numbers."""
    name = f"the audit of {audit.norm} {audit.eps:g}"
    known = {(weak.attack, weak.access): weak for weak in audit.weak_attacks}
    strange = set(known) - {(row.attack, row.access) for row in rows}
    if strange or len(known) != len(audit.weak_attacks):
        raise UserError(f"expected weak attacks of {name} among its rows, each once")
    for row, value in zip(rows, gained, strict=True):
        weak = known.get((row.attack, row.access))
        if weak is None and (value.low or 0.0) > 0:
            raise UserError(f"expected {row.attack} ({row.access}) as a weak attack of {name}")
        if weak is None:
            continue
        if not _same_gain(weak, value):
            raise UserError(
                f"expected of the weak attack {row.attack} in {name} what gained_by_masking says"
            )
        if weak.low <= 0 and weak.missed is None:
            raise UserError(f"expected {row.attack} to gain or to miss in {name}, got neither")


def _same_gain(weak: WeakAttack, value: Value) -> bool:
    pairs = ((weak.gained, value.value), (weak.low, value.low), (weak.high, value.high))
    return all(b is not None and abs(a - b) <= ROUNDING for a, b in pairs)


# -- without its table -----------------------------------------------------------------------------


def _as_said(record: Record, audit: Audit, rows: Sequence[Score]) -> Iterator[Value]:
    """The audit's values in the form they must have: a share of its images, a gain of each row."""
    said = record.find("audited_accuracy", norm=audit.norm, eps=audit.eps)
    hits = round((said.value or 0.0) * audit.n) if said else 0
    yield _accuracy(audit, hits)
    for row in rows:
        value = _value(record, audit, row)
        yield _gain(
            row, Paired(value.value or 0.0, value.low or 0.0, value.high or 0.0, 1.0, 0, 0, audit.n)
        )


def _stated(value: Value, n: int) -> Paired:
    """A gain as the record has it; raises UserError where it has no number or no interval."""
    if value.value is None or value.low is None or value.high is None:
        raise UserError(f"expected a number and an interval of {words(value)}")
    return Paired(value.value, value.low, value.high, 1.0, 0, 0, n)


def _accuracy(audit: Audit, hits: int) -> Value:
    axes: dict[str, Axis] = {"norm": audit.norm, "eps": audit.eps}
    return share("audited_accuracy", min(max(hits, 0), audit.n), audit.n, axes)


def _gain(row: Score, pair: Paired) -> Value:
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


# -- with its table --------------------------------------------------------------------------------


def _tables(path: Path, record: Record) -> list[Table]:
    """The table, cut into the audits of the record."""
    table = read_columns(path)
    for name, kinds in KINDS.items():
        if name not in table or table[name].dtype.kind not in kinds:
            raise UserError(f"expected a column {name} of its kind in {path.name}")
    if not set(np.unique(table["audit"]).tolist()) <= set(range(len(record.audit))):
        raise UserError(f"expected the record's {len(record.audit)} audits in {path.name}")
    cut = [table["audit"] == number for number in range(len(record.audit))]
    return [{name: table[name][mine] for name in KINDS} for mine in cut]


@dataclass(frozen=True)
class _Held:
    """One audit's images: what its table says of them, checked against the outcomes."""

    record: Record
    audit: Audit
    rows: Sequence[Score]
    outcomes: Outcomes
    table: Table

    def __post_init__(self) -> None:
        audit, table = self.audit, self.table
        name = f"the table of the audit of {audit.norm} {audit.eps:g}"
        position, clean = table["position"], self.outcomes.clean
        if len(position) != audit.n or len(np.unique(position)) != audit.n:
            raise UserError(f"expected {audit.n} images in {name}, each once")
        if position.min() < 0 or position.max() >= len(clean):
            raise UserError(f"expected positions of judged images in {name}")
        if not np.array_equal(table["image"], clean.image[position]):
            raise UserError(f"expected the images at their positions in {name}, got others")
        if (table["norm"] != audit.norm).any() or (table["eps"] != audit.eps).any():
            raise UserError(f"expected {audit.norm} {audit.eps:g} throughout {name}")
        if len(np.unique(table["randomised"])) != 1:
            raise UserError(f"expected one answer in {name} to whether the system is randomised")
        if (table["held"] & ~(table["clean"] & table["rows"])).any():
            raise UserError(f"expected held images of {name} to be right clean and under all rows")
        self._check_answers(name)

    @property
    def randomised(self) -> bool:
        """Whether the system answers anew, so that the audit's answers are not the outcomes'."""
        return bool(self.table["randomised"][0])

    def _check_answers(self, name: str) -> None:
        """A deterministic system gives the audit the answers that it gave the rows."""
        if self.randomised:
            return
        at = self.table["position"]
        if not np.array_equal(self.table["clean"], self.outcomes.clean.right[at]):
            raise UserError(f"expected the clean answers of the outcomes in {name}, got others")
        under = np.logical_and.reduce([row.right[at] for row in self.rows])
        if not np.array_equal(self.table["rows"], under):
            raise UserError(f"expected the rows' answers of the outcomes in {name}, got others")
        for row in self.outcomes.attacked:
            still = (row.linf == 0) & (row.prediction != row.clean_prediction)
            if still.any():
                raise UserError(
                    f"expected one answer to an image that {row.attack} left as it was, got two, "
                    f"though {name} calls the system deterministic"
                )

    def values(self) -> list[Value]:
        """The audited accuracy, and what each row gained."""
        held = self.table["held"]
        return [_accuracy(self.audit, int(held.sum())), *self.gained()]

    def gained(self) -> list[Value]:
        """What each row gained, as the table has it.

        A randomised system answers each row anew, and the table keeps these answers together: of
        one row they are the row's, of several they bound each.
        """
        at, held = self.table["position"], self.table["held"]
        if not self.randomised:
            return [_gain(row, paired(row.right[at], held)) for row in self.rows]
        together = self.table["rows"]
        if len(self.rows) == 1:
            return [_gain(self.rows[0], paired(together, held))]
        return [self._bounded(row, float((together & ~held).mean())) for row in self.rows]

    def _bounded(self, row: Score, least: float) -> Value:
        value = _value(self.record, self.audit, row)
        stated = _stated(value, self.audit.n)
        if stated.difference < least - ROUNDING:
            raise UserError(
                f"expected {words(value)} of at least {least:.6g} by the audit's table, got "
                f"{stated.difference}"
            )
        return _gain(row, stated)
