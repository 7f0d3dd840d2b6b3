"""The pictures as Vega-Lite: one description drawn in the browser and, at build time, as SVG."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """A picture: its heading, the sentence that says how to read it, and its Vega-Lite layers."""

    name: str
    title: str
    reading: str
    spec: Spec


PALETTE = (
    "#4269d0", "#e08b00", "#e8564a", "#2ca58d", "#8f5bd6",
    "#d65fa0", "#5b8c2a", "#6a8fc9", "#9c6b4e", "#7d838c",
)  # fmt: skip
"""Ten colours that can be told apart on white and on near black."""


def _share(title: str, field: str = "value", **more: Any) -> Spec:
    axis = {"format": ".0%", "title": title, "tickCount": 5}
    return {
        "field": field,
        "type": "quantitative",
        "axis": axis,
        "scale": {"domain": [0, 1]},
        **more,
    }


def _number(title: str, field: str, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


PICK = {"name": "pick", "select": {"type": "point", "fields": ["name"]}, "bind": "legend"}
FADE = {"opacity": {"condition": {"param": "pick", "value": 1}, "value": 0.15}}
COLOUR = {
    "field": "name",
    "type": "nominal",
    "title": None,
    "sort": None,
    "scale": {"range": list(PALETTE)},
    "legend": {
        "orient": "bottom",
        "columns": 2,
        "labelLimit": 190,
        "symbolLimit": 12,
        "symbolOpacity": 1,
    },
}
SHAPE = {"field": "name", "type": "nominal", "title": None, "sort": None, "legend": None}


def _tooltip(*fields: tuple[str, str, str]) -> list[Spec]:
    """(field, title, format) triples, after the row's name."""
    named = [{"field": "name", "type": "nominal", "title": "row"}]
    return named + [
        {"field": f, "title": t, "type": "quantitative" if form else "nominal", "format": form}
        for f, t, form in fields
    ]


ACCURACY_TIP = (("value", "accuracy", ".1%"), ("low", "95 % from", ".1%"), ("high", "to", ".1%"))


def _curve(x: Spec, y: Spec, tip: list[Spec]) -> list[Spec]:
    """A line a row with its interval as a band; a click on the legend picks one."""
    shared = {"x": x, "color": COLOUR}
    band = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    faint = {"opacity": {"condition": {"param": "pick", "value": 0.12}, "value": 0.02}}
    return [
        {"mark": "area", "encoding": {**shared, **band, **faint}},
        {
            "params": [PICK],
            "mark": {"type": "line", "point": False},
            "encoding": {**shared, "y": y, **FADE},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 55},
            "encoding": {**shared, "y": y, "shape": SHAPE, "tooltip": tip, **FADE},
        },
    ]


def _cost_layers(title: str, unit: str) -> list[Spec]:
    """Points, and the Pareto front: no other row is both cheaper and more robust."""
    axis = {"format": "~s", "tickCount": 4}
    x = _number(
        f"{title} ({unit})", "cost", axis=axis, scale={"type": "log", "nice": False, "padding": 20}
    )
    y = _share("robust accuracy")
    front = {
        "transform": [
            {
                "window": [{"op": "max", "field": "value", "as": "best"}],
                "sort": [{"field": "cost"}, {"field": "value", "order": "descending"}],
            },
            {"filter": "datum.value >= datum.best"},
        ],
        "mark": {
            "type": "line",
            "interpolate": "step-after",
            "strokeDash": [5, 4],
            "color": "#7d838c",
        },
        "encoding": {"x": x, "y": y},
    }
    tip = _tooltip(*ACCURACY_TIP, ("cost", title, ".3s"), ("word", "what it means", ""))
    return [front, _dots(x, y, tip)]


def _dots(x: Spec, y: Spec, tip: list[Spec]) -> Spec:
    return {
        "params": [PICK],
        "mark": {"type": "point", "filled": True, "size": 90},
        "encoding": {"x": x, "y": y, "color": COLOUR, "shape": SHAPE, "tooltip": tip, **FADE},
    }


def _masking_layers() -> list[Spec]:
    x = _share("accuracy under the strongest black-box attack", "black")
    y = _share("accuracy under the strongest white-box attack")
    line = {
        "data": {"values": [{"black": 0, "value": 0}, {"black": 1, "value": 1}]},
        "mark": {"type": "line", "strokeDash": [5, 4], "color": "#7d838c"},
        "encoding": {"x": x, "y": y},
    }
    tip = _tooltip(*ACCURACY_TIP, ("black", "black-box", ".1%"), ("word", "what it means", ""))
    return [line, _dots(x, y, tip)]


def _bits_layers() -> list[Spec]:
    x = {"field": "bits", "type": "ordinal", "title": "bits of a weight", "axis": {"labelAngle": 0}}
    y = _share("accuracy", aggregate="mean")
    colour = {**COLOUR, "field": "defense"}
    dash = {"field": "kind", "type": "nominal", "title": None, "legend": {"orient": "top"}}
    tip = [
        {"field": "defense", "type": "nominal"},
        {"field": "kind", "type": "nominal", "title": "accuracy"},
        {**y, "title": "mean", "format": ".1%"},
    ]
    encoding = {"x": x, "y": y, "color": colour}
    return [
        {"mark": "line", "encoding": {**encoding, "strokeDash": dash}},
        {
            "mark": {"type": "point", "filled": True, "size": 55},
            "encoding": {**encoding, "shape": {**dash, "legend": None}, "tooltip": tip},
        },
    ]


def _layer_layers() -> list[Spec]:
    x = {
        "field": "layer",
        "type": "nominal",
        "sort": {"field": "place", "op": "min"},
        "title": "layer",
        "axis": {"labelAngle": -40, "labelLimit": 90},
    }
    y = _number("‖ΔW‖₂", "value")
    tip = _tooltip(("layer", "layer", ""), ("value", "‖ΔW‖₂", ".4g"))
    shared = {"x": x, "y": y, "color": COLOUR}
    return [
        {"params": [PICK], "mark": "line", "encoding": {**shared, **FADE}},
        {
            "mark": {"type": "point", "filled": True, "size": 55},
            "encoding": {**shared, "shape": SHAPE, "tooltip": tip, **FADE},
        },
    ]


EPS_TITLE = "ε"
"""Stands for the title that a group's threat gives its axis."""
FEW_TICKS = {"tickCount": 6}
EPS = _number(EPS_TITLE, "eps", axis=FEW_TICKS)
RADIUS = _number("certified radius (L2, pixels in [0,1])", "radius", axis=FEW_TICKS)

CHARTS = (
    Chart(
        "eps",
        "Accuracy against ε",
        "Robust accuracy, the smallest thing known, in one norm; at ε = 0 the clean accuracy.",
        {"layer": _curve(EPS, _share("accuracy"), _tooltip(("eps", "at ε", ".4g"), *ACCURACY_TIP))},
    ),
    Chart(
        "radius",
        "Certified accuracy against radius",
        "The share of test images that are right and proven so within the radius.",
        {
            "layer": _curve(
                RADIUS,
                _share("certified accuracy"),
                _tooltip(("radius", "radius", ".4g"), *ACCURACY_TIP),
            )
        },
    ),
    Chart(
        "bits",
        "Accuracy against bits",
        "Clean and robust accuracy, mean over the rows of a defense; judged files are left out.",
        {"layer": _bits_layers()},
    ),
    Chart(
        "layers",
        "Weight perturbation per layer",
        "How far compression moved each layer's weights.",
        {"layer": _layer_layers()},
    ),
    Chart(
        "latency",
        "Robustness against latency",
        "Left and up is better; the dashed line is the Pareto front.",
        {"layer": _cost_layers("seconds per call", "s, log scale")},
    ),
    Chart(
        "size",
        "Robustness against size",
        "Left and up is better; the dashed line is the Pareto front.",
        {"layer": _cost_layers("bytes as shipped", "bytes, log scale")},
    ),
    Chart(
        "masking",
        "White-box against black-box",
        "Above the dashed line an attack that sees less succeeds more: gradients are masked there.",
        {"layer": _masking_layers()},
    ),
)


def _titled(spec: Any, title: str) -> Any:
    """A description whose axis of eps has this title."""
    if isinstance(spec, dict):
        return {name: _titled(one, title) for name, one in spec.items()}
    if isinstance(spec, list):
        return [_titled(one, title) for one in spec]
    return title if spec == EPS_TITLE else spec


def full_spec(chart: Chart, width: int | str, points: list[dict[str, Any]] | None = None) -> Spec:
    """A complete Vega-Lite description; without points the data set `points` stays to be filled.

    Points of one threat bear the title of their axis.
    """
    data: Spec = {"name": "points"} if points is None else {"name": "points", "values": points}
    if points and "axis" in points[0]:
        chart = replace(chart, spec=_titled(chart.spec, points[0]["axis"]))
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": f"{chart.title}. {chart.reading}",
        "width": width,
        "height": 300,
        "background": "transparent",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": data,
        **chart.spec,
    }
