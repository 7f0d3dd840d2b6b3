"""A page for each study that the records touch: ours beside the paper, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from robench.base.text import true_minus
from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.formats import interval, number, points
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.write.pages import page
from robench.leaderboard.write.sections import inline, sections
from robench.records.trust import LEVELS
from robench.studies.claims import Observation, Verdict
from robench.studies.reasons import Reason, read_reasons
from robench.studies.report import NO_REASONS, about, beside
from robench.studies.run import Records
from robench.studies.runs import Runs, Standing, Variant, option
from robench.studies.study import Study, StudyCell

NEAR, FAR = 0.02, 0.10
"""Differences up to the first are near the paper, above the second far from it; shares."""

Choices = frozenset[tuple[str, tuple[str, ...]]]
"""Kinds of a system's components, each with what was chosen of it."""


@dataclass(frozen=True)
class Alike:
    """Rows that chose the same, with their places."""

    chosen: Choices
    first: BoardRow
    rows: list[tuple[int, BoardRow]]


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


def alike(rows: Iterable[BoardRow]) -> list[Alike]:
    """Rows by what they chose: those of the store share it, so that few of it are different."""
    found: dict[tuple[int, int], list[tuple[int, BoardRow]]] = {}
    for place, row in enumerate(rows):
        found.setdefault((id(row.chosen), id(row.train)), []).append((place, row))
    return [Alike(_choices(its[0][1].chosen), its[0][1], its) for its in found.values()]


def possible_rows(every: Iterable[Alike], study: Study) -> list[BoardRow]:
    """Rows whose records may be the study's, told by their choices without opening them; in the
    order of their places."""
    wanted = [(_choices(one.chosen), one) for one in study.variants]
    found = [
        one
        for same in every
        if any(its <= same.chosen and _set_alike(same.first, one) for its, one in wanted)
        for one in same.rows
    ]
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def read_rows(rows: Iterable[BoardRow], reasons: Iterable[Reason]) -> list[BoardRow]:
    """Rows that the reasons of a study's claims read."""
    read = {id for one in reasons for fact in one.read_from for id in fact.records}
    return [row for row in rows if not read.isdisjoint(row.members)] if read else []


def study_page(study: Study, possible: Iterable[BoardRow], read: Iterable[BoardRow]) -> str | None:
    """The text of a study's page; None where no record of the possible rows is the study's."""
    rows = list(possible)
    folders = [folder for row in rows for folder in row.folders]
    # Reasons read a record by its name, which a forged one may bear, too.
    first = sorted([*rows, *read], key=lambda row: -LEVELS.index(row.proof.level))
    every = dict.fromkeys(folder for row in first for folder in row.folders)
    # Thousands may match a study that shows ten.
    records = Records(every, keep=False)
    runs = Runs(records, study.variants, study.measures, folders, _standing(rows))
    if not any(runs.get(variant) for variant in study.variants) and not runs.unproven:
        return None
    fed = {folder: row for row in rows for folder in row.folders}
    return page("study.html", root="../", **_page(study, runs, fed))


def _standing(rows: Iterable[BoardRow]) -> dict[Path, Standing]:
    """What a study must know of the records of rows, by their folders."""
    return {
        folder: Standing(row.proof.level, row.proof.disputed, row.score, content)
        for row in rows
        for folder, content in zip(row.folders, row.contents, strict=True)
    }


def _choices(chosen: Mapping[str, Iterable[str]]) -> Choices:
    return frozenset((kind, tuple(its)) for kind, its in chosen.items() if kind in SYSTEM_KINDS)


def _set_alike(row: BoardRow, variant: Variant) -> bool:
    """Whether a row has a variant's options, as far as the row knows them."""
    known = {**row.chosen, "train": row.train}
    return all(
        option(known, path) == value
        for path, value in variant.options.items()
        if path.partition(".")[0] in (*SYSTEM_KINDS, "train")
    )


def _page(study: Study, runs: Runs, fed: Mapping[Path, BoardRow]) -> dict[str, object]:
    """What the template shows; `fed` are the rows by the folders of their records."""
    of = {v.label: fed[run.folder] for v in study.variants if (run := runs.get(v))}
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
        "about": [inline(true_minus(line)) for line in about(study, runs)],
        "sections": [one for text in beside(study, runs) for one in sections(text)],
        "no_reasons": "" if study.has_reasons else NO_REASONS,
        "of": of,
        "tables": tables,
        "of_paper": of_paper,
        "claims": _claims(study, runs),
    }


def _claims(study: Study, runs: Runs) -> list[ClaimText]:
    reasons = read_reasons(study.reasons, study.name)
    texts = []
    for claim in study.claims:
        verdict, seen = claim.judge(runs)
        reason = reasons.get(claim.name) if verdict != "reproduced" else None
        fault = reason.fault(runs.records) if reason else ""
        words = reason.words if reason else ""
        seen = [replace(one, text=true_minus(one.text)) for one in seen]
        told = (true_minus(text) for text in (words, fault))
        texts.append(ClaimText(claim.name, claim.words, verdict, seen, *told))
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
    return CellText(mine, ends, theirs, points(gap), tone)
