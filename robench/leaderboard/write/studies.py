"""A page for each study that the records touch: ours beside the paper, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from robench.base.errors import UserError, bad_input
from robench.base.text import true_minus
from robench.core.record import SYSTEM_KINDS
from robench.leaderboard.table.formats import interval, number, points
from robench.leaderboard.table.row import BoardRow
from robench.leaderboard.write.disputed import DISPUTED, marked
from robench.leaderboard.write.pages import page
from robench.leaderboard.write.sections import inline, sections
from robench.records.trust import LEVELS
from robench.studies.claims import Observation, Verdict
from robench.studies.reasons import Reason, read_reasons
from robench.studies.report import NO_REASONS, about, beside
from robench.studies.rivals import otherwise
from robench.studies.run import Records
from robench.studies.runs import Runs, Standing, Variant, option
from robench.studies.study import Study, StudyCell

NEAR, FAR = 0.02, 0.10
"""Differences up to the first are near the paper, above the second far from it; shares."""

NOTHING: dict[str, object] = {
    "tables": {},
    "of": {},
    **dict.fromkeys(("about", "sections", "claims"), ()),
    **dict.fromkeys(("disputed", "of_paper", "no_reasons"), ""),
}
"""What the template shows of a study that cannot be told."""

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
    disputed: bool


@dataclass(frozen=True)
class ClaimText:
    """A claim with its verdict, and its reason or why none is given."""

    name: str
    words: str
    verdict: Verdict
    disputed: bool
    """Whether by other records of equal proof it would be another."""
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
    try:
        with bad_input("expected a study that can be told"):
            shown = _shown(study, list(possible), list(read))
    except UserError as error:  # a study's own code, on records that anybody may send
        shown = {"about": [inline(f"{error}.")]}
    if shown is None:
        return None
    return page("study.html", root="../", study=study, **NOTHING | shown)


def _shown(
    study: Study, rows: Sequence[BoardRow], read: Sequence[BoardRow]
) -> dict[str, object] | None:
    fed = {folder: row for row in rows for folder in row.folders}
    # Thousands may match a study that shows ten.
    records = Records(fed, keep=False)
    runs = Runs(records, study.variants, study.measures, fed, _standing(rows))
    if not any(runs.get(variant) for variant in study.variants) and not runs.unproven:
        return None
    cited = Records(_proven([*rows, *read]), keep=False)
    return _page(study, runs, fed, cited)


def _proven(rows: Iterable[BoardRow]) -> list[Path]:
    """The folders of rows: of those of one name, which a forged record may bear, too, the ones that
    prove most."""
    levels = {
        folder: LEVELS.index(level)
        for row in rows
        for folder, level in zip(row.folders, row.proof.levels, strict=True)
    }
    most: dict[str, int] = {}
    for folder, level in levels.items():
        most[folder.name] = max(level, most.get(folder.name, level))
    return [folder for folder, level in levels.items() if level == most[folder.name]]


def _standing(rows: Iterable[BoardRow]) -> dict[Path, Standing]:
    """What a study must know of the records of rows, by their folders."""
    return {
        folder: Standing(level, row.proof.disputed, row.score, content)
        for row in rows
        for folder, level, content in zip(row.folders, row.proof.levels, row.contents, strict=True)
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


@dataclass(frozen=True)
class Told:
    """What a study says of records."""

    tables: dict[str, list[tuple[Variant, list[StudyCell]]]]
    sections: list[str]
    claims: list[tuple[Verdict, list[Observation]]]

    @property
    def numbers(self) -> list[object]:
        """All that may be disputed."""
        cells = [_ours(one) for rows in self.tables.values() for _, its in rows for one in its]
        return [cells, self.sections, self.claims]


def _told(study: Study, runs: Runs) -> Told:
    return Told(
        {name: list(study.rows(name, runs)) for name in study.tables},
        beside(study, runs),
        [claim.judge(runs) for claim in study.claims],
    )


def _page(
    study: Study, runs: Runs, fed: Mapping[Path, BoardRow], cited: Records
) -> dict[str, object]:
    """What the template shows; `fed` are the rows by the folders of their records, `cited` the
    records that reasons are read from."""
    told = _told(study, runs)
    others = [_told(study, one) for one in otherwise(runs, study.variants)]
    others = [one for one in others if one.numbers != told.numbers]
    texts = [
        marked(text, [one.sections[at] for one in others]) for at, text in enumerate(told.sections)
    ]
    cells = [cell for rows in told.tables.values() for _, its in rows for cell in its]
    return {
        "about": [inline(true_minus(line)) for line in about(study, runs)],
        "disputed": bool(others),
        "sections": [one for text in texts for one in sections(text)],
        "no_reasons": "" if study.has_reasons else NO_REASONS,
        "of": {
            v.label: (fed[run.folder], runs.standing[run.folder].level)
            for v in study.variants
            if (run := runs.get(v))
        },
        "tables": {name: (its, _rows(name, told, others)) for name, its in study.tables.items()},
        "of_paper": any(cell.paper for cell in cells),
        "claims": list(_claims(study, told, others, cited)),
    }


def _rows(table: str, told: Told, others: Iterable[Told]) -> list[tuple[str, list[CellText]]]:
    each = [one.tables[table] for one in others]
    return [
        (
            variant.label,
            [
                _cell(cell, any(_ours(one[row][1][at]) != _ours(cell) for one in each))
                for at, cell in enumerate(cells)
            ],
        )
        for row, (variant, cells) in enumerate(told.tables[table])
    ]


def _ours(cell: StudyCell) -> float | None:
    return cell.ours.value if cell.ours else None


def _claims(
    study: Study, told: Told, others: Sequence[Told], cited: Records
) -> Iterator[ClaimText]:
    reasons = read_reasons(study.reasons, study.name)
    for at, (claim, (verdict, seen)) in enumerate(zip(study.claims, told.claims, strict=True)):
        each = [one.claims[at] for one in others]
        reason = reasons.get(claim.name) if verdict != "reproduced" else None
        words, fault = (reason.words, reason.fault(cited)) if reason else ("", "")
        texts = [
            one.text + DISPUTED * any(theirs[number] != one for _, theirs in each)
            for number, one in enumerate(seen)
        ]
        yield ClaimText(
            claim.name,
            claim.words,
            verdict,
            any(other != verdict for other, _ in each),
            [replace(one, text=true_minus(text)) for one, text in zip(seen, texts, strict=True)],
            true_minus(words),
            true_minus(fault),
        )


def _cell(cell: StudyCell, disputed: bool) -> CellText:
    theirs = "" if cell.paper is None else number(cell.paper, "share")
    if cell.ours is None:
        return CellText("not run", "", theirs, "", "", disputed)
    mine, ends = number(cell.ours.value, "share"), interval(*cell.ours.interval, "share")
    gap = cell.difference
    if gap is None:
        return CellText(mine, ends, "", "", "", disputed)
    tone = "near" if abs(gap) <= NEAR else "far" if abs(gap) > FAR else "off"
    return CellText(mine, ends, theirs, points(gap), tone, disputed)
