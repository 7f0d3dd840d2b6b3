"""The data behind the pictures: one list of points a picture, for the rows of one group, which are
about one norm and eps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from robench.leaderboard.read.threat import Threat
from robench.leaderboard.table.cells import Cell, Column
from robench.leaderboard.table.row import BoardRow

Point = dict[str, Any]
MAX_ROWS = 100
"""Rows of a group that are drawn; the best of them."""


def points(rows: Sequence[tuple[BoardRow, str]], name: str) -> list[Point]:
    """The points of a picture for (row, label) pairs, at most MAX_ROWS of them."""
    make = PICTURES[name]
    return [
        {"id": row.id, "name": label, **point}
        for row, label in rows[:MAX_ROWS]
        for point in make(row)
    ]


def _of(row: BoardRow, metric: str) -> Iterator[tuple[Column, Cell]]:
    for column, cell in row.cells.items():
        if column.metric == metric and cell.value is not None:
            yield column, cell


def _interval(cell: Cell) -> Point:
    low = cell.value if cell.low is None else cell.low
    high = cell.value if cell.high is None else cell.high
    return {"value": cell.value, "low": low, "high": high}


def _single(row: BoardRow, metric: str) -> Cell | None:
    return next((cell for _, cell in _of(row, metric)), None)


def _headline(row: BoardRow) -> Cell | None:
    threat = row.threat
    return next((cell for c, cell in _of(row, "robust") if threat and _at(c) == threat), None)


def _at(column: Column) -> Threat | None:
    norm, eps = column.axis("norm"), column.axis("eps")
    return Threat(norm, eps) if isinstance(norm, str) and isinstance(eps, float) else None


def _eps(row: BoardRow) -> Iterable[Point]:
    """Headlines over eps of the one norm; the clean accuracy is the point at zero."""
    norm = row.threat.norm if row.threat else None
    found = [
        {"eps": column.axis("eps"), **_interval(cell)}
        for column, cell in _of(row, "robust")
        if column.axis("norm") == norm
    ]
    clean = _single(row, "clean_accuracy")
    if found and clean:
        found.append({"eps": 0.0, **_interval(clean)})
    return sorted(found, key=lambda point: point["eps"])


def _radius(row: BoardRow) -> Iterable[Point]:
    """Certified accuracy over the radii of one certifier and noise: that with most radii."""
    curves: dict[object, list[Point]] = {}
    for column, cell in _of(row, "certified_accuracy"):
        if isinstance(radius := column.axis("radius"), (int, float)):
            how = tuple(pair for pair in column.axes if pair[0] != "radius")
            curves.setdefault(how, []).append({"radius": radius, **_interval(cell)})
    longest = max(map(len, curves.values()), default=0)
    curve = next((its for its in curves.values() if len(its) == longest), [])
    return sorted(curve, key=lambda point: point["radius"])


def _bits(row: BoardRow) -> Iterable[Point]:
    shared = {"bits": row.bits, "defense": row.names("defense")}
    for kind, cell in (("clean", _single(row, "clean_accuracy")), ("robust", _headline(row))):
        if cell:
            yield {**shared, "kind": kind, **_interval(cell)}


def _layers(row: BoardRow) -> Iterable[Point]:
    for place, (layer, value) in enumerate(row.layers):
        yield {"layer": layer, "place": place, "value": value}


def _cost(metric: str) -> Callable[[BoardRow], Iterable[Point]]:
    def make(row: BoardRow) -> Iterable[Point]:
        cost, robust = _single(row, metric), _headline(row)
        if cost and robust:
            yield {"cost": cost.value, "word": row.word, **_interval(robust)}

    return make


def _masking(row: BoardRow) -> Iterable[Point]:
    """The strongest white-box attack beside the strongest black-box one, same norm and eps."""
    white: list[Cell] = []
    black: list[Cell] = []
    for column, cell in _of(row, "robust_accuracy"):
        if row.threat and _at(column) == row.threat:
            seen = column.axis("attack") in row.queries_only or column.axis("access") != "white_box"
            (black if seen else white).append(cell)
    if white and black:
        best = min(white, key=lambda cell: cell.value or 0.0)
        other = min(black, key=lambda cell: cell.value or 0.0)
        yield {"black": other.value, "word": row.word, **_interval(best)}


PICTURES: dict[str, Callable[[BoardRow], Iterable[Point]]] = {
    "eps": _eps,
    "radius": _radius,
    "bits": _bits,
    "layers": _layers,
    "latency": _cost("latency"),
    "size": _cost("size"),
    "masking": _masking,
}
