"""Tables for other programs: CSV for a spreadsheet, LaTeX for a paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from robench.base.text import one_line

if TYPE_CHECKING:
    from robench.core.record import Value

Cell = str | int | float | None
FORMULA = ("=", "+", "-", "@")
"""How a text begins that a spreadsheet would compute."""
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "∞": r"$\infty$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


@dataclass(frozen=True)
class Tabular:
    """Named columns and their rows: texts, numbers, or None for an empty cell."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def csv(self) -> str:
        """The table as CSV, numbers in full; a text that a spreadsheet would compute is quoted."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(_csv_cell, self.columns))
        writer.writerows([_csv_cell(cell) for cell in row] for row in self.rows)
        return out.getvalue()

    def latex(self, caption: str = "") -> str:
        """The table as a LaTeX `table`, its first column on the left, the others on the right.

        Needs the package booktabs.
        """
        lines = [
            r"\begin{table}",
            r"  \centering",
            *([f"  \\caption{{{_latex(caption)}}}"] if caption else []),
            f"  \\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
            r"    \toprule",
            _latex_row(self.columns),
            r"    \midrule",
            *map(_latex_row, self.rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def of_values(values: Sequence[Value]) -> Tabular:
    """A row a value: metric, its axes, value, low, high, n and unit."""
    axes = list(dict.fromkeys(name for value in values for name in value.axes))
    rows = (
        (v.metric, *(v.axes.get(axis) for axis in axes), v.value, v.low, v.high, v.n, v.unit)
        for v in values
    )
    return Tabular(("metric", *axes, "value", "low", "high", "n", "unit"), tuple(rows))


def _csv_cell(cell: Cell) -> Cell:
    if not isinstance(cell, str):
        return cell
    text = one_line(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def _latex_row(cells: Sequence[Cell]) -> str:
    return "    " + " & ".join(map(_latex, cells)) + r" \\"


def _latex(cell: Cell) -> str:
    if cell is None:
        return ""
    text = f"{cell:.4g}" if isinstance(cell, float) else one_line(cell)
    return "".join(SPECIAL.get(letter, letter) for letter in text)
