"""What the commands print with: every text is shown as it is, markup and control codes too."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from robench.base.grid import fold
from robench.base.text import visible

UNBOUND = 10_000
"""Letters of a line that is never folded."""


def width() -> int | None:
    """Letters of a line of the terminal, or of COLUMNS; none where the output is no terminal."""
    shown = Console()
    return shown.width if shown.is_terminal or "COLUMNS" in os.environ else None


def console() -> Console:
    """A console on standard output; no line is cut where it is no terminal."""
    return Console(width=width() or UNBOUND)


def styled(text: str, style: str = "") -> Text:
    """A text in a style: what looks like markup in it is none."""
    return Text(visible(text), style)


def join(*parts: str | Text) -> Text:
    """Parts as one text, with a space between them."""
    return Text(" ").join(part if isinstance(part, Text) else styled(part) for part in parts)


def print_text(text: str, style: str = "") -> None:
    """Print a text for people."""
    console().print(styled(text, style))


def print_prose(text: str, style: str = "") -> None:
    """Print a sentence, folded at the width of the terminal."""
    for number, line in enumerate(fold(text, width())):
        print_text(f"  {line}" if number else line, style)


def print_line(text: str) -> None:
    """Print a line that people copy, such as a path: no wrapping."""
    console().print(styled(text), soft_wrap=True)


class Shown(Table):
    """A table whose cells are shown as they are; a style takes a `styled` text."""

    def add_row(self, *cells: str | Text) -> None:  # type: ignore[override]  # no markup
        """Add a row of cells."""
        super().add_row(*(styled(cell) if isinstance(cell, str) else cell for cell in cells))


def table(
    *columns: str,
    numbers: Iterable[str] = (),
    title: str = "",
    caption: str = "",
    narrow: bool = False,
) -> Shown:
    """An empty table of columns of text, then columns of numbers, aligned on the right.

    A `narrow` one has no lines between its columns, so that more of them fit.
    """
    made = Shown(title=_heading(title), caption=_heading(caption))
    if narrow:
        made.box, made.padding, made.pad_edge = box.SIMPLE_HEAD, (0, 1, 0, 0), False
    for name in columns:
        made.add_column(styled(name), overflow="fold")
    for name in numbers:
        made.add_column(styled(name), justify="right", no_wrap=narrow)
    return made


def _heading(text: str) -> Text | None:
    return styled(text) if text else None
