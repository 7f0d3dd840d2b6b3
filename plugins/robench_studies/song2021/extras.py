"""What the tables of Song et al. (2021) are summed up in: the headline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robench.base.stats import Z95
from robench.studies.claims import Finding
from robench.studies.runs import Column, Run, Runs
from robench_studies.song2021.grid import MARGIN, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE = "audit"
"""The table that `robench.run.audit_files` writes: a row per audit and image."""
NOT_ADVERSARIAL = ("Clean", "Normal", "Uniform")
MAPPED, PLAIN = ("F.L.", True, 3), ("F.L.", False, 3)


def improves(grid: Grid, runs: Runs) -> Finding:
    """Whether mapping raises the mean over all 13 columns of the quantised F.L. model."""
    gain = _gain(grid, runs, _columns(grid), audited=False)
    if gain is None:
        return Finding("mean of F.L.+mu (Q) - F.L. (Q) over 13 columns: not run", None)
    text = f"mean of F.L.+mu (Q) - F.L. (Q) over 13 columns: {_points(*gain)}, expected above 0"
    return Finding(text, gain[1] > 0)


def headline(grid: Grid, runs: Runs) -> str:
    """The headline over 13 columns and over the 10 adversarial ones, naive and audited."""
    columns = _columns(grid)
    adversarial = [column for column in columns if column.label not in NOT_ADVERSARIAL]
    lines = [
        "## Headline: mean of F.L.+mu (Q) - F.L. (Q)\n",
        "Audited: on the images of the audits, where one counts under a norm and eps only if every "
        "row and every search of the audit leaves it right.\n",
        "| columns | naive | audited |",
        "|---|---|---|",
    ]
    for name, chosen in ((f"all {len(columns)}", columns), (f"{len(adversarial)}", adversarial)):
        gains = [_gain(grid, runs, chosen, audited=audited) for audited in (False, True)]
        cells = " | ".join("not run" if gain is None else _points(*gain) for gain in gains)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _columns(grid: Grid) -> list[Column]:
    white_box = [column for column in grid.white_box if column != MARGIN]
    return [*white_box, *grid.black_box]


def _gain(
    grid: Grid, runs: Runs, columns: Sequence[Column], *, audited: bool
) -> tuple[float, float, float] | None:
    """Mean over columns and images of mapped minus plain, with its 95 % interval (normal)."""
    pair = [runs.get(grid.systems[key]) for key in (MAPPED, PLAIN)]
    if pair[0] is None or pair[1] is None:
        return None
    right = _audited if audited else _naive
    differences = []
    for column in columns:
        first, second = (right(run, column) for run in pair if run)
        if first is None or second is None:
            return None
        differences.append(first.astype(float) - second.astype(float))
    each = np.mean(differences, axis=0)
    half = Z95 * float(each.std(ddof=1)) / len(each) ** 0.5
    mean = float(each.mean())
    return mean, mean - half, mean + half


def _naive(run: Run, column: Column) -> NDArray[np.bool_] | None:
    score = column.score(run)
    return score.right if score else None


def _audited(run: Run, column: Column) -> NDArray[np.bool_] | None:
    """Which of the audit's images hold, by position; under no threat of an audit, are right."""
    score, table = column.score(run), run.table(TABLE)
    if score is None or table is None:
        return None
    same = table[(table.norm == score.norm) & (table.eps == score.eps)].sort_values("position")
    if len(same) and column.access != "none":  # noise has no threat
        return np.asarray(same.held, dtype=bool)
    right: NDArray[np.bool_] = score.right[np.sort(table.position.unique())]
    return right


def _points(mean: float, low: float, high: float) -> str:
    return f"{100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
