"""A record that shows itself: as text, as HTML in a notebook, as a frame, as a figure."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from robench.core.record import Record
from robench.core.threat import eps_text
from robench.plugin.registry import registry
from robench.records.figure import figure
from robench.records.headline import audit_table, headline_values
from robench.records.preview import drawn, picture, save_png, strips
from robench.records.sheet import attack_table, below, sheet, title
from robench.records.store import read_outcomes, value_rows
from robench.records.support.values import OWN
from robench.records.tabular import of_values

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from robench.core.outcomes import Outcomes
    from robench.core.record import Axis, Value
    from robench.records.headline import Table
    from robench.records.tabular import Tabular

NOT_KEPT = "not kept: evaluate keeps a record with places=robench.Places(results=...)"
WIDTH = 100
"""Letters of a line of the text."""


class ShownRecord(Record):
    """A record and what lies beside it: it prints as a table and draws itself."""

    _folder: Path | None = PrivateAttr(None)
    _outcomes: Outcomes = PrivateAttr()
    _audited: Table | None = PrivateAttr(None)
    _preview: bytes = PrivateAttr(b"")

    @property
    def folder(self) -> Path | None:
        """Where it lies; None where it was not kept."""
        return self._folder

    def __eq__(self, other: object) -> bool:
        """Whether another record says the same, wherever it lies."""
        return isinstance(other, Record) and dict(self) == dict(other)

    __hash__ = Record.__hash__

    def __str__(self) -> str:
        lines = sheet(self, self._outcomes, self._audited, WIDTH)
        return "\n".join([*(line.text for line in lines), self._where])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The table, what is said of each threat, and the pictures."""
        lines = [line.text for line in below(self, self._outcomes, self._audited)]
        said = "".join(f"<div>{escape(text)}</div>" for text in [*lines, self._where])
        return f"<b>{escape(title(self))}</b>{_html_table(self._table)}{said}{self._pictures()}"

    @property
    def _where(self) -> str:
        return NOT_KEPT if self._folder is None else f"record: {self._folder}"

    @property
    def _table(self) -> Tabular:
        return attack_table(self, self._outcomes, self._audited)

    def _pictures(self) -> str:
        if (strip := self._strip()) is None:
            return ""
        name, pixels = strip
        png = BytesIO()
        save_png(pixels, png)
        data = b64encode(png.getvalue()).decode()
        return (
            f"<div>Clean, attacked, difference (scaled): {escape(name)}</div>"
            f'<img alt="Adversarial examples" style="image-rendering:pixelated;width:32em;'
            f'max-width:100%" src="data:image/png;base64,{data}">'
        )

    def _strip(self) -> tuple[str, NDArray[np.uint8]] | None:
        """The pictures of the row that leaves fewest images, and what it is."""
        rows = self._outcomes.attacked
        if not (rows and self._preview):
            return None
        number = min(range(len(rows)), key=lambda number: float(rows[number].right.mean()))
        row = rows[number]
        eps = "" if row.eps is None else f" {eps_text(row.eps)}"
        strip = list(strips(self._preview, len(rows)))[number]
        return f"{row.attack} {row.norm}{eps}", drawn(strip)

    @property
    def known(self) -> tuple[Value, ...]:
        """Its values, and the headline under each threat, which is computed."""
        return (*self.values, *headline_values(self, self._outcomes, self._audited))

    def get(self, metric: str, /, **axes: Axis) -> Value | None:
        """As `find`, but None where a known metric has no value; raises UserError of others."""
        measured = any(value.metric == metric for value in self.known)
        if not (measured or metric in OWN or metric in _of_plugins()):
            return self.find(metric, **axes)
        return super().get(metric, **axes)

    def to_frame(self) -> pd.DataFrame:
        """All values, the headlines too: a row per value, its axes as columns."""
        import pandas as pd

        return pd.DataFrame(list(value_rows(self)))

    def to_csv(self) -> str:
        """All values as CSV, the headlines too: a row per value."""
        return of_values(self.known).csv()

    def to_latex(self) -> str:
        """The attack table as a LaTeX table; needs the package booktabs."""
        return self._table.latex(f"{title(self)}. Percent of images that hold.")

    def plot(self) -> Any:
        """A matplotlib figure: accuracy against eps for each norm, certified accuracy, pictures.

        Raises UserError without matplotlib.
        """
        return figure(self, self._strip())


def shown(record: Record, folder: Path, *, kept: bool = True) -> ShownRecord:
    """A record with what lies in its folder, which need not outlive it unless it is `kept`.

    Raises UserError where its outcomes or its picture cannot be read.
    """
    made = ShownRecord.model_construct(**dict(record))
    made._folder = folder if kept else None
    made._outcomes, made._audited = read_outcomes(folder), audit_table(folder)
    made._preview = picture(folder)
    return made


def _of_plugins() -> set[str]:
    """Metrics that any installed plugin measures."""
    choices = registry().choices["metric"]
    measured = (getattr(choice.cls, "measures", ()) for choice in choices.values())
    return {*choices, *chain.from_iterable(measured)}


def _html_table(table: Tabular) -> str:
    head = "".join(f"<th>{escape(str(cell))}</th>" for cell in table.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
