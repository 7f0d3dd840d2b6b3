"""Values as cells of a table: which column a value belongs to and what the cell says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from robench.core.record import Axis, Record, Value

Badge = Literal["pass", "suspect", "fail", "invalid", "at_chance", "not_audited", ""]
SHARES = ("robust_accuracy", "attacked_accuracy", "worst_case_accuracy", "audited_accuracy")
"""Metrics whose cells carry a verdict."""
MAX_COLUMNS = 120


@dataclass(frozen=True, eq=False)
class Column:
    """One column of the main table; `axes` are sorted pairs. Made by `column_of` alone, so that
    equal columns are one object and a table of ten thousand rows holds few of them."""

    metric: str
    unit: str
    better: str
    axes: tuple[tuple[str, Axis], ...] = ()

    @property
    def key(self) -> str:
        """Its name in the page's address."""
        return ".".join([self.metric, *(str(value) for _, value in self.axes)])

    def axis(self, name: str) -> Axis:
        """One of its axes, or None."""
        return next((value for known, value in self.axes if known == name), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return column_of, (self.metric, self.unit, self.better, self.axes)


@cache
def column_of(metric: str, unit: str, better: str, axes: tuple[tuple[str, Axis], ...]) -> Column:
    """The one column of these properties."""
    return Column(metric, unit, better, axes)


@dataclass(frozen=True, slots=True)
class Cell:
    """One number with its interval and badge; `value` is None where it was refused or undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    badge: Badge = ""


def cells(record: Record) -> dict[Column, Cell]:
    """A record's cells by column."""
    verdicts = {(audit.norm, audit.eps): audit.verdict for audit in record.audit}
    found: dict[Column, Cell] = {}
    for value in [*_without_layers(record.values), *_largest_perturbation(record.values)]:
        badge = _badge(value, verdicts, record.status)
        found[column(value)] = Cell(value.value, value.low, value.high, badge)
    for row in record.rows:
        if row.status == "invalid":
            axes = {"attack": row.attack, "access": row.access, "norm": row.norm, "eps": row.eps}
            missing = Value(metric="robust_accuracy", value=None, unit="share", axes=axes)
            found[column(missing)] = Cell(None, badge="invalid")
    return found


def column(value: Value) -> Column:
    """The column a value belongs to."""
    return column_of(value.metric, value.unit, value.better, tuple(sorted(value.axes.items())))


PERTURBATION = "weight_perturbation"


def _without_layers(values: Iterable[Value]) -> Iterable[Value]:
    return (value for value in values if "layer" not in value.axes)


WHOLE = {"step": "trained -> deployed", "view": "matrix"}
"""Of a layer's several ||dW||: all that was done to it, as a matrix."""


def layers(values: Iterable[Value]) -> list[Value]:
    """The ||dW||_2 of each layer, from training to what ships."""
    return [
        value
        for value in values
        if value.metric == PERTURBATION
        and str(value.axes.get("p")) in ("2", "2.0")
        and "layer" in value.axes
        and value.value is not None
        and all(value.axes.get(name, only) == only for name, only in WHOLE.items())
    ]


def _largest_perturbation(values: Iterable[Value]) -> Iterable[Value]:
    """The largest ||dW||_2 over the layers: the number the papers quote for a whole network."""
    if found := layers(values):
        largest = max(found, key=lambda value: value.value or 0.0)
        yield largest.model_copy(update={"metric": "largest_perturbation", "axes": {"p": 2}})


def _badge(value: Value, verdicts: Mapping[tuple[str, float], str], status: str) -> Badge:
    if value.metric not in SHARES or value.axes.get("access") == "none":
        return ""
    if status == "at_chance":
        return "at_chance"
    norm, eps = value.axes.get("norm"), value.axes.get("eps")
    verdict = (
        verdicts.get((norm, eps)) if isinstance(norm, str) and isinstance(eps, float) else None
    )
    return verdict or "not_audited"  # type: ignore[return-value]


FAMILIES = (
    "clean_accuracy",
    "worst_case_accuracy",
    "audited_accuracy",
    "robust_accuracy",
    "certified_accuracy",
    "certified_percentage",
    "largest_perturbation",
    "size",
    "latency",
)
"""Metrics whose columns are shown at first, in this order; others wait in the column chooser."""
MAX_RADII = 4


def ordered(rows: Iterable[Mapping[Column, Cell]]) -> list[Column]:
    """All columns that any row has, families first, each in the order in which the rows have them;
    at most MAX_COLUMNS, the fullest ones."""
    counts: dict[Column, int] = {}
    for row in rows:
        for found in row:
            counts[found] = counts.get(found, 0) + 1
    kept = set(sorted(counts, key=lambda c: (_family(c), -counts[c]))[:MAX_COLUMNS])
    return sorted((c for c in counts if c in kept), key=lambda c: (_family(c), c.metric))


def _family(column: Column) -> int:
    return FAMILIES.index(column.metric) if column.metric in FAMILIES else len(FAMILIES)


def at_first(columns: Iterable[Column]) -> set[Column]:
    """Which columns a table of these shows at first: of several eps the largest, of many radii
    some."""
    families = [column for column in columns if column.metric in FAMILIES]
    found = {column for column in families if column.axis("radius") is None}
    sizes: dict[tuple[object, ...], list[Column]] = {}
    # In the columns' order, not the set's: of equal eps the last one stays.
    for column in [column for column in families if column in found]:
        key = tuple(column.axis(name) for name in ("attack", "access", "norm"))
        sizes.setdefault((column.metric, *key), []).append(column)
    for same in sizes.values():
        bounded = sorted((c for c in same if c.axis("eps") is not None), key=_eps)
        found -= set(same) - {bounded[-1]} if bounded else set()
    radii = sorted((c for c in families if c.axis("radius") is not None), key=_radius)
    return found | set(radii[:: -(-len(radii) // MAX_RADII) or 1])


def _radius(column: Column) -> float:
    radius = column.axis("radius")
    return float(radius) if isinstance(radius, (int, float)) else 0.0


def _eps(column: Column) -> float:
    eps = column.axis("eps")
    return eps if isinstance(eps, float) else 0.0
