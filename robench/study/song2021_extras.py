"""What the tables of Song et al. (2021) are summed up in: the headline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from robench.compare import budgets
from robench.outcomes import worst_cases
from robench.stats import Z95
from robench.study.cells import Column, Run, Runs
from robench.study.claims import Finding
from robench.study.song2021_grid import MARGIN, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        "Audited: an image counts under an attack inside a ball only if every attack of that norm "
        "and eps, PGD on the margin included, leaves it right.\n",
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
    differences = []
    for column in columns:
        first, second = (_right(run, column, audited) for run in pair if run)
        if first is None or second is None:
            return None
        differences.append(first.astype(float) - second.astype(float))
    each = np.mean(differences, axis=0)
    half = Z95 * float(each.std(ddof=1)) / len(each) ** 0.5
    mean = float(each.mean())
    return mean, mean - half, mean + half


def _right(run: Run, column: Column, audited: bool) -> NDArray[np.bool_] | None:
    score = column.score(run)
    if score is None or not audited or score.eps is None:
        return score.right if score else None
    for worst in worst_cases(run.outcomes, budgets(run.record)):
        if (worst.norm, worst.eps) == (score.norm, score.eps):
            return worst.right
    return score.right


def _points(mean: float, low: float, high: float) -> str:
    return f"{100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
