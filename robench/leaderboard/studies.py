"""A page for each study that the records touch: ours beside the paper, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.leaderboard.formats import interval, number
from robench.leaderboard.pages import write_page
from robench.leaderboard.row import Row
from robench.leaderboard.site import Site
from robench.outcomes import Score
from robench.study.cells import Column, Runs, System
from robench.study.studies import Study

NEAR, FAR = 0.02, 0.10
"""Differences up to the first are near the paper, above the second far from it; shares."""


@dataclass(frozen=True)
class StudyCell:
    """Ours, the paper's and their difference, as the page writes them."""

    ours: str
    interval: str
    paper: str
    difference: str
    tone: str
    """near, off, far, or nothing where there is no difference."""


def write_studies(site: Site, out: Path) -> list[Study]:
    """Write a page for every study with a record; returns these studies."""
    from robench.study.song2021 import STUDIES

    written = []
    for study in STUDIES.values():
        found = (row for row in site.rows if _may_match(row, study.systems))
        folders = [folder for row in found for folder in row.folders]
        runs = Runs(folders, study.systems)
        if folders and any(runs.get(system) for system in study.systems):
            (out / "studies").mkdir(exist_ok=True)
            path = out / "studies" / f"{study.name}.html"
            write_page("study.html", path, root="../", **_page(study, runs))
            written.append(study)
    return written


def _may_match(row: Row, systems: Sequence[System]) -> bool:
    return any(
        all(
            tuple(row.chosen[kind]) == names
            for kind, names in system.chosen.items()
            if kind in row.chosen
        )
        for system in systems
    )


def _page(study: Study, runs: Runs) -> dict[str, object]:
    ids = {system.label: run.record.id for system in study.systems if (run := runs.get(system))}
    tables = {
        name: (columns, [(s.label, _cells(study, runs, s, columns)) for s in study.systems])
        for name, columns in study.tables.items()
    }
    claims = [(claim, *claim.judge(runs)) for claim in study.claims]
    return {"study": study, "ids": ids, "tables": tables, "claims": claims}


def _cells(study: Study, runs: Runs, system: System, columns: Sequence[Column]) -> list[StudyCell]:
    paper: Mapping[tuple[str, Column], float] = {
        (cell.system.label, cell.column): cell.value for cell in study.cells
    }
    return [
        _cell(runs.score(system, column), paper.get((system.label, column))) for column in columns
    ]


def _cell(ours: Score | None, paper: float | None) -> StudyCell:
    theirs = "" if paper is None else number(paper, "share")
    if ours is None:
        return StudyCell("not run", "", theirs, "", "")
    mine, ends = number(ours.value, "share"), interval(*ours.interval, "share")
    if paper is None:
        return StudyCell(mine, ends, "", "", "")
    gap = ours.value - paper
    tone = "near" if abs(gap) <= NEAR else "far" if abs(gap) > FAR else "off"
    return StudyCell(mine, ends, theirs, f"{100 * gap:+.1f}", tone)
