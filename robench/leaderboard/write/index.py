"""The first page, its pictures, and the data behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from robench.leaderboard.table.labels import heading
from robench.leaderboard.table.site import Site
from robench.leaderboard.write.charts import CHARTS
from robench.leaderboard.write.pages import script, write_page
from robench.leaderboard.write.points import points
from robench.leaderboard.write.stills import compiled, still
from robench.studies.study import Study

FIRST_ROWS = 25
"""Rows that stand in the page itself; scripts bring the others."""


def write_index(site: Site, studies: Sequence[Study], out: Path) -> None:
    """Write the first page, the comparison page, and the pictures' data."""
    drawn = _write_charts(site, out)
    write_page("index.html", out / "index.html", **_first_page(site, studies, drawn, out))
    write_page("compare.html", out / "compare.html")


def _first_page(site: Site, studies: Sequence[Study], drawn: set[str], out: Path) -> dict[str, Any]:
    tab = site.tabs[0]
    wanted = {column for group in tab.groups for column in group.at_first}
    return {
        "site": site,
        "about": tab.about,
        "label": tab.label,
        "apart": len(tab.groups) > 1,
        "columns": [(column, *heading(column)) for column in site.columns if column in wanted],
        "first_rows": [(one.label, row) for one in tab.groups for row in one.rows][:FIRST_ROWS],
        "charts": [chart for chart in CHARTS if chart.name in drawn],
        "stills": {chart.name for chart in CHARTS if (out / f"charts/{chart.name}.svg").exists()},
        "varies": {
            "model": len({row.names("model") for row in site.rows}) > 1,
            "bits": len({row.bits for row in site.rows}) > 1,
            "seed": len({row.seed for row in site.rows}) > 1,
        },
        "studies": studies,
    }


def _write_charts(site: Site, out: Path) -> set[str]:
    """Write descriptions, points and still pictures; returns which have points anywhere."""
    specs = {chart.name: compiled(chart) for chart in CHARTS}
    (out / "data/charts.js").write_text(script("charts", specs), encoding="utf-8")
    drawn = set()
    for index, (_, group) in enumerate(site.groups):
        rows = [(row, site.labels[row.id]) for row in group.rows]
        found = {chart.name: points(rows, chart.name) for chart in CHARTS}
        path = out / f"data/points{index}.js"
        path.write_text(script(f"points{index}", found), encoding="utf-8")
        drawn |= {name for name, its in found.items() if its}
        if index == 0:
            _write_stills(found, out)
    return drawn


def _write_stills(found: dict[str, list[dict[str, Any]]], out: Path) -> None:
    for chart in CHARTS:
        if found[chart.name]:
            svg = still(chart, found[chart.name])
            (out / f"charts/{chart.name}.svg").write_text(svg, encoding="utf-8")
