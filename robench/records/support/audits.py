"""The audits of a record, held against their own findings, the rows and the audit's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from robench.base.errors import UserError
from robench.base.stats import Paired, paired
from robench.core.outcomes import Outcomes, Score, clean_score, rows_by_threat, scores
from robench.core.record import (
    AUDITED,
    Audit,
    Finding,
    Record,
    Value,
    WeakAttack,
    worst,
)
from robench.core.sentences import follows, is_own
from robench.core.threat import eps_text
from robench.records.support.held import (
    AUDIT_TABLE,
    Held,
    audited_value,
    gained_value,
    read_tables,
    said_gain,
    said_pair,
)
from robench.records.support.values import ROUNDING, require_values

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
    tables = read_tables(path, record) if path.exists() else None
    wanted: list[Value] = []
    for number, (audit, rows) in enumerate(zip(record.audit, threats.values(), strict=True)):
        if tables is None:
            yield f"audit of {audit.norm} {eps_text(audit.eps)}: no audit table"
            wanted += _as_said(record, audit, rows)
            _check_weak(audit, rows, [said_gain(record, audit, row) for row in rows])
            continue
        held = Held(record, audit, rows, outcomes, tables[number])
        gained = held.gained()
        wanted += [held.audited(), *gained]
        _check_weak(audit, rows, gained)
    require_values(found, wanted, "the audits")


def _audited(record: Record, outcomes: Outcomes) -> dict[tuple[str, float], list[Score]]:
    """The threats that the configuration has audited, and their rows; none of one at chance, nor
    of a file that has no gradients."""
    if record.config["audit"].get("level") == "off" or record.status == "at_chance":
        return {}
    if record.file and record.file.black_box:
        return {}
    return rows_by_threat(outcomes, record.budgets())


def _listed(threats: Sequence[tuple[str, float]] | Mapping[tuple[str, float], Any]) -> str:
    return ", ".join(f"{norm} {eps_text(eps)}" for norm, eps in threats) or "none"


# -- an audit by itself ----------------------------------------------------------------------------


def _check_audit(record: Record, audit: Audit, outcomes: Outcomes) -> None:
    settings, name = record.config["audit"], f"the audit of {audit.norm} {eps_text(audit.eps)}"
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
    rows = frozenset(f"{row.attack} ({row.access})" for row in record.rows)
    for finding in audit.findings:
        _check_sentence(record, finding, rows, name)


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


def _check_sentence(record: Record, finding: Finding, rows: Set[str], name: str) -> None:
    """The audit's own checks say what follows from their numbers, and others were asked for."""
    if not is_own(finding.check):
        if not record.config["audit"].get("checks"):
            raise UserError(
                f"expected findings of the audit's own checks in {name}, since config.audit.checks "
                f"names no others, got {finding.check[:80]!r}"
            )
        return
    if not follows(finding, rows, record.config["defense"]):
        raise UserError(
            f"expected the sentence of {finding.check} in {name} to follow from its numbers, got "
            f"{finding.sentence[:200]!r}"
        )


def _check_above_clean(record: Record, audit: Audit, outcomes: Outcomes, name: str) -> None:
    """What the rows say of accuracy above clean is the outcomes'."""
    clean = clean_score(outcomes).right
    ball = {row.attack for row in outcomes.rows if row.search == "ball"}
    wanted = [
        paired(row.right, clean)
        for row in scores(outcomes, record.budgets(), when_clean_right=False)
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


def _check_weak(audit: Audit, rows: Sequence[Score], gained: Sequence[Value]) -> None:
    """The weak attacks are those that the audit surely beats, with the same numbers."""
    name = f"the audit of {audit.norm} {eps_text(audit.eps)}"
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
    said = record.get("audited_accuracy", norm=audit.norm, eps=audit.eps)
    n = _one_of(audit, record, said)
    hits = round((said.value or 0.0) * n) if said else 0
    yield audited_value(audit, hits, n)
    for row in rows:
        gained = said_gain(record, audit, row)
        yield gained_value(row, said_pair(gained, _one_of(audit, record, gained)))


def _one_of(audit: Audit, record: Record, said: Value | None) -> int:
    """How many images a value of the audit is of: all, or those that the checks looked at."""
    return record.data.images if said and said.n == record.data.images else audit.n
