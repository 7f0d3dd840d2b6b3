"""A page for each study that the records touch: ours beside the paper, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from robench.core.outcomes import Score
from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.formats import interval, number
from robench.leaderboard.table.site import Site
from robench.leaderboard.write.pages import write_page
from robench.studies.catalogue import studies
from robench.studies.runs import Column, Runs, System
from robench.studies.study import Study

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
    written = []
    for study in studies().values():
        folders = _folders(site, study)
        runs = Runs(folders, study.systems, study.columns)
        if folders and any(runs.get(system) for system in study.systems):
            (out / "studies").mkdir(exist_ok=True)
            path = out / "studies" / f"{study.name}.html"
            write_page("study.html", path, root="../", **_page(study, runs))
            written.append(study)
    return written


def _chosen(study: Study) -> set[frozenset[tuple[str, tuple[str, ...]]]]:
    """The choices that a row must have to be one of the study's systems, each set once."""
    return {
        frozenset((k, tuple(v)) for k, v in system.chosen.items() if k in SYSTEM_KINDS)
        for system in study.systems
    }


def _folders(site: Site, study: Study) -> list[Path]:
    """Records that may be one of the study's, told by their choices without opening them."""
    wanted = _chosen(study)
    found: list[Path] = []
    for row in site.rows:
        chosen = {(kind, tuple(names)) for kind, names in row.chosen.items()}
        if any(chosen >= one for one in wanted):
            found += row.folders
    return found


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
