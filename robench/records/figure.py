"""A record as a figure: what is left against eps, what is certified against radius, examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from robench.base.errors import UserError
from robench.core.record import Axis, Record
from robench.core.threat import NORMS, eps_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.core.record import Value

    Strip = tuple[str, NDArray[np.uint8]] | None

CURVES = ("robust_accuracy", "audited_accuracy")
SIZE = (4.6, 3.4)
"""Width and height of a panel, in inches."""
Panel = Callable[[Any], None]


def figure(record: Record, strip: Strip) -> Any:
    """A matplotlib figure with a panel a norm, one of the certificates, one of the pictures.

    Raises UserError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(
            "expected matplotlib for a plot, got none; pip install matplotlib"
        ) from error
    panels = _panels(record, strip)
    drawn = Figure(figsize=(SIZE[0] * len(panels), SIZE[1]), layout="constrained")
    for number, panel in enumerate(panels):
        panel(drawn.add_subplot(1, len(panels), number + 1))
    return drawn


def _panels(record: Record, strip: Strip) -> list[Panel]:
    norms = [n for n in NORMS if any(v.axes.get("norm") == n for v in _values(record, CURVES))]
    panels: list[Panel] = [lambda axes, norm=norm: _curves(axes, record, norm) for norm in norms]  # type: ignore[misc]
    if _values(record, ("certified_accuracy",)):
        panels.append(lambda axes: _certified(axes, record))
    if strip is not None:
        panels.append(lambda axes: _pictures(axes, strip))
    return panels


def _values(record: Record, metrics: tuple[str, ...]) -> list[Value]:
    return [v for v in record.values if v.metric in metrics and v.value is not None]


def _curves(axes: Any, record: Record, norm: str) -> None:
    """One line an attack, from the clean accuracy at eps 0."""
    clean = record.get("clean_accuracy")
    lines: dict[str, list[Value]] = {}
    for value in _values(record, CURVES):
        if value.axes.get("norm") == norm and value.axes.get("eps"):
            name = str(value.axes.get("attack", "audited"))
            lines.setdefault(name, []).append(value)
    for name, values in lines.items():
        ordered = sorted(values, key=lambda value: _number(value.axes["eps"]))
        points = [(_number(value.axes["eps"]), _percent(value.value)) for value in ordered]
        start = [] if clean is None else [(0.0, _percent(clean.value))]
        _line(axes, [*start, *points], name)
    sizes = sorted({_number(value.axes["eps"]) for own in lines.values() for value in own})
    axes.set_xticks([0.0, *sizes], ["0", *map(eps_text, sizes)])
    _name(axes, f"eps ({norm})", "accuracy under attack, %")


def _certified(axes: Any, record: Record) -> None:
    values = _values(record, ("certified_accuracy",))
    for name in dict.fromkeys(str(value.axes.get("certifier", "")) for value in values):
        own = [value for value in values if str(value.axes.get("certifier", "")) == name]
        points = [(_number(value.axes.get("radius")), _percent(value.value)) for value in own]
        _line(axes, sorted(points), name)
    _name(axes, "radius (l2)", "certified accuracy, %")


def _pictures(axes: Any, strip: tuple[str, NDArray[np.uint8]]) -> None:
    name, pixels = strip
    axes.set_axis_off()
    axes.set_title(f"clean, attacked, difference: {name}", fontsize=9)
    axes.imshow(pixels, interpolation="nearest")


def _line(axes: Any, points: list[tuple[float, float]], name: str) -> None:
    axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)


def _name(axes: Any, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_ylim(-2, 102)
    axes.legend(fontsize=8)


def _number(axis: Axis) -> float:
    return float(axis or 0.0)


def _percent(share: float | None) -> float:
    return 100 * (share or 0.0)
