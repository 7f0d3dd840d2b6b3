"""What somebody demands of a record, in words such as `headline[linf,8/255]=0.4`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from robench.base.errors import UserError
from robench.base.text import suggestion
from robench.core.record import VERDICTS, Axis, Record, Value, Verdict
from robench.records.said import threat_text
from robench.records.support.values import DIFFERENCE, GAINED

FORM = re.compile(r"([A-Za-z0-9_.+:-]+)(?:\[([^\]]*)\])?=(.+)")
DIFFERENCES = (DIFFERENCE, GAINED)
"""Shares that may be below 0."""
SAME = 1e-9
"""How far two numbers of an axis may lie apart."""


@dataclass(frozen=True)
class Met:
    """One demand, and whether the record meets it."""

    met: bool
    text: str


@dataclass(frozen=True)
class Least:
    """A metric, the axes that its value must have, and the least number it may be."""

    metric: str
    axes: tuple[str, ...]
    least: float


def read_least(text: str) -> Least:
    """A demand such as `worst_case_accuracy[linf,8/255]=0.4`; raises UserError for another text."""
    found = FORM.fullmatch(text)
    number = _number(found[3]) if found else None
    if found is None or number is None:
        raise UserError(
            f"expected METRIC[AXIS,AXIS]=NUMBER such as headline[linf,8/255]=0.4, got "
            f"{text!r}" + _meant(found[3] if found else "")
        )
    axes = tuple(part.strip() for part in (found[2] or "").split(",") if part.strip())
    return Least(found[1], axes, number)


def _meant(text: str) -> str:
    """What a percentage is as a share; nothing of another text."""
    number = _number(text.removesuffix("%")) if text.endswith("%") else None
    return "" if number is None else f"; did you mean {number / 100:g}?"


def check_least(demand: Least, values: tuple[Value, ...]) -> Met:
    """Whether every value that a demand names is large enough; raises UserError for none such."""
    named = [value for value in values if value.metric == demand.metric]
    found = [v for v in named if all(_has(v, axis) for axis in demand.axes)]
    said = f"{demand.metric}[{','.join(demand.axes)}]" if demand.axes else demand.metric
    if not found:
        metrics = sorted({value.metric for value in values})
        if not named:
            hint = suggestion(demand.metric, metrics) or f"; it has {', '.join(metrics)}"
        else:
            hint = f"; it has {'; '.join(dict.fromkeys(map(_axes, named)))}"
            if any(" " in axis for axis in demand.axes):
                hint += f"; commas part the axes: {said.replace(' ', ',')}"
        raise UserError(f"expected a value {said} in the record, got none{hint}")
    if any(v.unit == "share" for v in found) and demand.least > 1:
        raise UserError(
            f"expected a share in [0,1] for {said}, got {demand.least:g}; did you mean "
            f"{demand.least / 100:g}?"
        )
    if demand.least <= 0 and demand.metric not in DIFFERENCES and found[0].unit == "share":
        raise UserError(
            f"expected a share above 0 for {said}, got {demand.least:g}: no record falls below"
        )
    lowest = min(found, key=lambda v: -1.0 if v.value is None else v.value)
    if lowest.value is None:
        return Met(False, f"{said} is not defined, at least {demand.least:g} is demanded")
    of = f" ({_axes(lowest)})" if len(found) > 1 else ""
    text = f"{said} is {lowest.value:.4g}{of}, at least {demand.least:g} is demanded"
    return Met(lowest.value >= demand.least, text)


def check_audit(record: Record, worst: Verdict) -> list[Met]:
    """Whether the verdict of every audit is at least as good; no audit meets nothing."""
    if not record.audit:
        return [Met(False, f"no audit, at least {worst} is demanded")]
    return [
        Met(
            VERDICTS.index(audit.verdict) <= VERDICTS.index(worst),
            f"audit under {threat_text(audit.norm, audit.eps)}: {audit.verdict}, at least {worst} "
            "is demanded",
        )
        for audit in record.audit
    ]


def _has(value: Value, axis: str) -> bool:
    number = _number(axis)
    return any(
        str(own) == axis
        or (number is not None and isinstance(own, int | float) and abs(own - number) < SAME)
        for own in value.axes.values()
    )


def _number(text: str) -> float | None:
    try:
        return float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError):
        return None


def _axes(value: Value) -> str:
    return ",".join(_axis(name, axis) for name, axis in value.axes.items()) or "no axes"


def _axis(name: str, axis: Axis) -> str:
    return threat_text("", axis).strip() if name == "eps" and axis is not None else str(axis)
