"""A study's tables for other programs."""

from __future__ import annotations

from collections.abc import Iterator

from robench.records.tabular import Tabular
from robench.studies.runs import Runs
from robench.studies.study import Study, StudyCell


def of_study(study: Study, runs: Runs) -> Tabular:
    """A row a cell: table, model, measure, ours with its interval, the paper's, the difference.

    Shares are in [0,1]; empty where nothing was run, or the paper says nothing.
    """
    rows = []
    for name, measures in study.tables.items():
        for variant, cells in study.rows(name, runs):
            for measure, cell in zip(measures, cells, strict=True):
                low, high = cell.ours.interval if cell.ours else (None, None)
                ours = cell.ours.value if cell.ours else None
                own = (ours, low, high, cell.paper, cell.difference)
                rows.append((name, variant.label, measure.label, *own))
    heads = ("table", "model", "measure", "ours", "low", "high", "paper", "difference")
    return Tabular(heads, tuple(rows))


def for_paper(study: Study, runs: Runs) -> Iterator[tuple[str, Tabular]]:
    """Caption and table of each of a study's tables: percent, ours and the paper's."""
    for name, measures in study.tables.items():
        heads = ("model", *(measure.label for measure in measures))
        rows = tuple(
            (variant.label, *map(_cell, cells)) for variant, cells in study.rows(name, runs)
        )
        yield f"{name}: ours / the paper's, in percent.", Tabular(heads, rows)


def _cell(cell: StudyCell) -> str:
    ours = "-" if cell.ours is None else f"{100 * cell.ours.value:.1f}"
    return ours if cell.paper is None else f"{ours} / {100 * cell.paper:.1f}"
