"""A page for each study that the records touch: ours beside the paper, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.formats import interval, number
from robench.leaderboard.table.site import Site
from robench.leaderboard.write.pages import page
from robench.studies.catalogue import studies
from robench.studies.claims import Observation, Verdict
from robench.studies.reasons import read_reasons
from robench.studies.run import Records
from robench.studies.runs import Runs
from robench.studies.study import Study, StudyCell

NEAR, FAR = 0.02, 0.10
"""Differences up to the first are near the paper, above the second far from it; shares."""


@dataclass(frozen=True)
class CellText:
    """Ours, the paper's and their difference, as the page writes them."""

    ours: str
    interval: str
    paper: str
    difference: str
    tone: str
    """near, off, far, or nothing where there is no difference."""


@dataclass(frozen=True)
class ClaimText:
    """A claim with its verdict, and its reason or why none is given."""

    name: str
    words: str
    verdict: Verdict
    seen: list[Observation]
    reason: str
    fault: str


def study_files(site: Site) -> Iterator[tuple[Study, str]]:
    """Every study with a record, and the text of its page."""
    records = Records(folder for row in site.rows for folder in row.folders)
    for study in studies().values():
        runs = Runs(records, study.variants, study.measures, _folders(site, study))
        if any(runs.get(variant) for variant in study.variants):
            yield study, page("study.html", root="../", **_page(study, runs))


def _folders(site: Site, study: Study) -> list[Path]:
    """Records that may be one of the study's, told by their choices without opening them."""
    wanted = {
        frozenset((kind, tuple(v)) for kind, v in variant.chosen.items() if kind in SYSTEM_KINDS)
        for variant in study.variants
    }
    possible: list[Path] = []
    for row in site.rows:
        chosen = {(kind, tuple(names)) for kind, names in row.chosen.items()}
        if any(chosen >= one for one in wanted):
            possible += row.folders
    return possible


def _page(study: Study, runs: Runs) -> dict[str, object]:
    ids = {v.label: run.record.id for v in study.variants if (run := runs.get(v))}
    tables = {
        name: (
            measures,
            [(v.label, list(map(_cell, cells))) for v, cells in study.rows(name, runs)],
        )
        for name, measures in study.tables.items()
    }
    of_paper = any(cell.paper for _, rows in tables.values() for _, cells in rows for cell in cells)
    return {
        "study": study,
        "ids": ids,
        "tables": tables,
        "of_paper": of_paper,
        "claims": _claims(study, runs),
    }


def _claims(study: Study, runs: Runs) -> list[ClaimText]:
    reasons = read_reasons(study.reasons, study.name)
    texts = []
    for claim in study.claims:
        verdict, seen = claim.judge(runs)
        reason = reasons.get(claim.name) if verdict == "not reproduced" else None
        fault = reason.fault(runs.records) if reason else ""
        words = reason.words if reason else ""
        texts.append(ClaimText(claim.name, claim.words, verdict, seen, words, fault))
    return texts


def _cell(cell: StudyCell) -> CellText:
    theirs = "" if cell.paper is None else number(cell.paper, "share")
    if cell.ours is None:
        return CellText("not run", "", theirs, "", "")
    mine, ends = number(cell.ours.value, "share"), interval(*cell.ours.interval, "share")
    gap = cell.difference
    if gap is None:
        return CellText(mine, ends, "", "", "")
    tone = "near" if abs(gap) <= NEAR else "far" if abs(gap) > FAR else "off"
    return CellText(mine, ends, theirs, f"{100 * gap:+.1f}", tone)
