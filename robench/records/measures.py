"""The values of a record that are no accuracy under attack: a line a metric, or a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from robench.base.grid import grid
from robench.base.text import true_minus
from robench.core.record import Axis, Value
from robench.core.threat import eps_text
from robench.records.said import Line, folded, named, plain, threat_text

FEW = 3
"""Values of a metric that a line of words holds."""
MANY = 12
"""Values of a metric above which their range is given instead, where they make no table."""
UNDER_ATTACK = {"attack", "access", "norm", "eps"}
"""The axes of a value that stands in a table of attacks and threats."""


def measures(values: Sequence[Value], width: int | None) -> Iterator[Line]:
    """The lines of some values, at most `width` letters wide."""
    before = ""
    for metric in dict.fromkeys(value.metric for value in values):
        same = [value for value in values if value.metric == metric]
        if any(v.axes for v in same) and all(not v.axes or _attacked(v) for v in same):
            few = [Line(f"{metric}: {'; '.join(map(_named, same))}")]
            yield from folded(few, width) if len(same) <= FEW else _table(metric, same, width)
            continue
        fixed, text = _metric(same)
        yield from folded([Line(f"{metric}: {text}")], width)
        if fixed and fixed != before:
            yield from folded([Line(f"  ({fixed})", "dim")], width)
        before = fixed


def _attacked(value: Value) -> bool:
    return {*value.axes} == UNDER_ATTACK


def _named(value: Value) -> str:
    """A value with the attack and the threat that it is of."""
    axes = value.axes
    of = f"{named(axes['attack'], axes['access'])}, " if axes else ""
    of += threat_text(axes["norm"], axes["eps"]) if axes else "clean"
    return f"{measured(value)} ({of})"


def _table(metric: str, values: Sequence[Value], width: int | None) -> Iterator[Line]:
    """A row an attack and a column a threat, as in the table of accuracies."""
    cells: dict[str, dict[str, str]] = {}
    unit = _unit(values[0])[1]
    for value in values:
        axes = value.axes
        name = plain(named(axes["attack"], axes["access"])) if axes else "clean"
        threat = plain(threat_text(axes["norm"], axes["eps"])) if axes else "clean"
        text = measured(value).removesuffix(f" {unit}")
        cells.setdefault(name, {})[threat] = true_minus(plain(text))
    # What is measured on clean images, too, has no attack: it stands by itself.
    alone = cells.pop("clean", {}).get("clean")
    heads = list(dict.fromkeys(threat for row in cells.values() for threat in row))
    rows = [[name, *(row.get(threat, "") for threat in heads)] for name, row in cells.items()]
    title = plain(f"{metric}, {unit}" if unit else metric)
    for number, text in enumerate(grid([title, *heads], rows, width)):
        yield Line(text, "" if number else "dim")
    if alone:
        yield Line(f"  of clean images {alone}", "dim")


def _metric(values: Sequence[Value]) -> tuple[str, str]:
    """What all values of a metric share, and each value by what it does not."""
    names = list(dict.fromkeys(name for value in values for name in value.axes))
    # One without axes is of clean images, beside those of attacked ones.
    placed = [value for value in values if value.axes] or values
    seen = {name: {value.axes.get(name) for value in placed} for name in names}
    varying = [name for name in names if len(seen[name]) > 1]
    fixed = ", ".join(f"{n} {_axis(n, placed[0].axes[n])}" for n in names if n not in varying)
    if len(values) > MANY:
        known = [value for value in values if value.value is not None]
        ends = (min(known, key=_size), max(known, key=_size)) if known else ()
        between = " to ".join(map(measured, ends)) or "not defined"
        by = ", ".join(varying)
        return fixed, f"{len(values)} values by {by}, {between}; all of them: robench show --csv"
    each = (" ".join([*_place(value, varying, bool(names)), measured(value)]) for value in values)
    lead = f"by {', '.join(varying)}: " if varying else ""
    return fixed, lead + "; ".join(each)


def _place(value: Value, varying: Sequence[str], attacked: bool) -> list[str]:
    if attacked and not value.axes:
        return ["clean"]
    return [_axis(name, value.axes[name]) for name in varying if name in value.axes]


def _size(value: Value) -> float:
    return value.value or 0.0


def measured(value: Value) -> str:
    """A value with its interval and unit, as people say it: shares in percent, times in ms."""
    if value.value is None:
        return "not defined"
    scale, unit = _unit(value)
    side = ""
    if value.low is not None and value.high is not None:
        longer = max(value.high - value.value, value.value - value.low)
        side = f"±{_number(scale * longer, unit)}"
    return f"{_number(scale * value.value, unit)}{side} {unit}".rstrip()


def _unit(value: Value) -> tuple[float, str]:
    if value.unit == "share":
        return 100, "%"
    if value.unit == "s" and 0 < abs(value.value or 0) < 1:
        return next((10.0**p, u) for p, u in ((3, "ms"), (6, "µs"), (9, "ns")) if _whole(value, p))
    return 1, value.unit


def _whole(value: Value, power: int) -> bool:
    return abs(value.value or 0) * 10**power >= 1 or power == 9


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.1f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _axis(name: str, value: Axis) -> str:
    if name == "eps" and isinstance(value, float):
        return eps_text(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
