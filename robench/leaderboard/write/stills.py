"""Charts without a browser: Vega-Lite compiled to Vega for the page, and drawn as SVG for print."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from robench.base.errors import UserError
from robench.leaderboard.write.charts import Chart, Spec, full_spec

VERSION = "6.4"
"""Of Vega-Lite: pinned, so that a page drawn again has the same bytes."""
WIDTH = 460
UNTAKEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
"""Characters that the engine does not take: it cuts long texts between the halves of those beyond
the basic plane, and then fails; at those that XML does not have it ends the process."""
BASIC = "\uffff"
"""The last character of the basic plane."""
STAND_INS = range(0xE000, 0xF900)
"""Characters for private use, which may stand for others."""
UNSHOWN = "\N{REPLACEMENT CHARACTER}"
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
    stand_ins = _stand_ins(points)
    taken = str.maketrans(stand_ins)
    drawn = [
        {name: one.translate(taken) if isinstance(one, str) else one for name, one in point.items()}
        for point in points
    ]
    spec = {**full_spec(chart, WIDTH, drawn), "config": LIGHT}
    svg: str = _converter().vegalite_to_svg(spec, vl_version=VERSION)
    svg = svg.translate({ord(its): one for one, its in stand_ins.items() if its != UNSHOWN})
    # Clip paths are numbered anew for each picture; a prefix keeps two on one page apart.
    return re.sub(r"(id=\"|url\(#)(clip|gradient_)", rf"\1{chart.name}-\2", svg)


def _stand_ins(points: Iterable[dict[str, Any]]) -> dict[str, str]:
    """What stands for each character of the points' texts that the engine does not take: one that
    is in none of them; as long as there are such, and only for what may be shown."""
    texts = (one for point in points for one in point.values() if isinstance(one, str))
    used = set[str]().union(*texts)
    free = (one for one in map(chr, STAND_INS) if one not in used)
    untaken = sorted(filter(UNTAKEN.match, used))
    return {one: next(free, UNSHOWN) if one > BASIC else UNSHOWN for one in untaken}


def _converter() -> Any:
    try:
        import vl_convert
    except ImportError as error:
        raise UserError("expected vl-convert-python for the pictures; install it") from error
    return vl_convert
