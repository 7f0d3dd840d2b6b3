"""Charts without a browser: Vega-Lite compiled to Vega for the page, and drawn as SVG for print."""

from __future__ import annotations

import re
from typing import Any

from robench.base.errors import UserError
from robench.leaderboard.write.charts import Chart, Spec, full_spec

VERSION = "6.4"
"""Of Vega-Lite: pinned, so that a page drawn again has the same bytes."""
WIDTH = 460
LIGHT: Spec = {
    "font": "system-ui, sans-serif",
    "axis": {"gridColor": "#e3e6ea", "domainColor": "#9aa1a9", "tickColor": "#9aa1a9"},
    "view": {"stroke": None},
}


def compiled(chart: Chart) -> Any:
    """The picture as Vega, as wide as its place in the page and waiting for its points."""
    return _converter().vegalite_to_vega(full_spec(chart, "container"), vl_version=VERSION)


def still(chart: Chart, points: list[dict[str, Any]]) -> str:
    """The picture as a light SVG of its own, for print and for readers without scripts."""
    spec = {**full_spec(chart, WIDTH, points), "config": LIGHT}
    svg: str = _converter().vegalite_to_svg(spec, vl_version=VERSION)
    # Clip paths are numbered anew for each picture; a prefix keeps two on one page apart.
    return re.sub(r"(id=\"|url\(#)(clip|gradient_)", rf"\1{chart.name}-\2", svg)


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise UserError("expected vl-convert-python for the pictures; install it") from error
    return vl_convert
