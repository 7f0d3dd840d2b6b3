"""The data behind the pictures: one list of points a picture, for the rows of one group, which are
about one norm and eps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from robench.core.threat import eps_text
from robench.leaderboard.read.threat import Threat
from robench.leaderboard.table.cells import Cell, Column
from robench.leaderboard.table.formats import NORM_NAMES
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


def has_points(rows: Iterable[BoardRow], name: str) -> bool:
    """Whether there is a point of a picture for any of the rows that may be drawn."""
    return any(True for row in islice(rows, MAX_ROWS) for _ in PICTURES[name](row))


def _of(row: BoardRow, metric: str) -> Iterator[tuple[Column, Cell]]:
    wanted = [column for column in row.cells if column.metric == metric]
    # To read a row's cells costs more than to look at what they are of.
    cells = dict(row.cells.items()) if wanted else {}
    for column in wanted:
        if cells[column].value is not None:
            yield column, cells[column]


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


def curves(row: BoardRow) -> list[dict[str, Any]]:
    """The pictures of a row alone, a norm each: their chart and points."""
    threats = sorted({at for column, _ in _of(row, "robust") if (at := _at(column))})
    # The norm that ranks it first.
    first = row.threat.norm if row.threat else ""
    norms = sorted({at.norm for at in threats}, key=lambda norm: (norm != first, norm))
    largest = [max(at for at in threats if at.norm == norm) for norm in norms]
    found = [{"chart": "eps", "points": _over_eps(row, at)} for at in largest]
    found.append({"chart": "radius", "points": list(_radius(row))})
    return [one for one in found if len(one["points"]) > 1]


def eps_axis(threat: Threat) -> str:
    """The title of an axis of eps up to a threat's."""
    unit = "in 255ths of a pixel's range" if _steps(threat) > 1 else "pixels in [0,1]"
    return f"ε, {NORM_NAMES.get(threat.norm, threat.norm)}, {unit}"


def _steps(threat: Threat) -> int:
    """What an eps is multiplied with on its axis: people write those of CIFAR-10 in 255ths."""
    return 255 if eps_text(threat.eps).endswith("/255") else 1


def _eps(row: BoardRow) -> Iterable[Point]:
    return _over_eps(row, row.threat) if row.threat else []


def _over_eps(row: BoardRow, threat: Threat) -> list[Point]:
    """Headlines over eps of one norm; the clean accuracy is the point at zero."""
    axis = {"axis": eps_axis(threat)}
    found = [
        {"eps": round(at.eps * _steps(threat), 9), **axis, **_interval(cell)}
        for column, cell in _of(row, "robust")
        if (at := _at(column)) and at.norm == threat.norm
    ]
    clean = _single(row, "clean_accuracy")
    if found and clean:
        found.append({"eps": 0.0, **axis, **_interval(clean)})
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
    """A judged file is left out: how its network was trained is not known, so no defense's mean."""
    if row.file:
        return
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
