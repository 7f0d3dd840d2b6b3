"""The pages that all rows share, and the data of the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from robench.leaderboard.table.answers import answers
from robench.leaderboard.table.labels import OPEN_RUNS, heading
from robench.leaderboard.table.site import Group, Site
from robench.leaderboard.write.charts import CHARTS, Chart
from robench.leaderboard.write.pages import compact, packed, page
from robench.leaderboard.write.points import Point, has_points
from robench.leaderboard.write.points import points as points_of
from robench.leaderboard.write.stills import compiled, still
from robench.leaderboard.write.tabledata import site_data, tab_data
from robench.studies.study import Study

FIRST_ROWS = 25
"""Entries that stand in the page itself; scripts bring the others."""


def site_files(
    site: Site, shards: int, studies: Sequence[Study], stills: set[str]
) -> Iterator[tuple[str, str]]:
    """Paths and texts of what all tabs share.

    `shards` files hold the documents of rows; `stills` names the pictures of `still_files`.
    """
    yield site_data(site, shards)
    yield "index.html", page("index.html", **_first_page(site, studies, stills))


def same_pages() -> Iterator[tuple[str, str]]:
    """Paths and texts of the pages that are the same for all records."""
    yield "compare.html", page("compare.html")
    yield "row.html", page("row.html")


def chart_files(charts: Sequence[Chart]) -> list[tuple[str, str]]:
    """Path and text of the pictures' descriptions."""
    return [packed("charts", compact({chart.name: compiled(chart) for chart in charts}))]


def still_files(points: Mapping[str, list[Point]]) -> list[tuple[str, str]]:
    """Paths and texts of the pictures that stand without scripts, of `first_points`."""
    return [
        (f"charts/{chart.name}.svg", still(chart, points[chart.name]))
        for chart in CHARTS
        if points[chart.name]
    ]


def first_points(site: Site) -> dict[str, list[Point]]:
    """The points of each picture of the first group."""
    return _points(site, site.tabs[0].groups[0])


def tab_files(site: Site, number: int) -> Iterator[tuple[str, str]]:
    """Paths and texts of a tab's rows and of its pictures' points."""
    tab = site.tabs[number]
    yield from tab_data(site, tab)
    for place, group in enumerate(tab.groups):
        yield packed(f"{tab.key}-points{place}", compact(_points(site, group)))


def _points(site: Site, group: Group) -> dict[str, list[Point]]:
    rows = [(row, site.labels[row.id].text) for row in group.rows]
    return {chart.name: points_of(rows, chart.name) for chart in CHARTS}


def _first_page(site: Site, studies: Sequence[Study], stills: set[str]) -> dict[str, Any]:
    tab = site.tabs[0]
    first = tab.groups[0]
    wanted = {column for group in tab.groups for column in group.at_first}
    return {
        "site": site,
        "answers": [one for group in tab.groups for one in answers(group, site.ranks)],
        "about": tab.about,
        "label": tab.label,
        "apart": len(tab.groups) > 1,
        "ranks": "robust" if first.rows[0].radius is None else "certified",
        "threat": "" if len(tab.groups) > 1 or not first.headline else heading(first.headline)[1],
        "columns": [(column, *heading(column)) for column in site.columns if column in wanted],
        "first_entries": [(one, entry) for one in tab.groups for entry in one.lines][:FIRST_ROWS],
        "charts": [
            chart
            for chart in CHARTS
            if any(has_points(group.rows, chart.name) for _, group in site.groups)
        ],
        "stills": stills,
        "studies": studies,
        "open_runs": OPEN_RUNS,
    }
