"""What the commands print with."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

ROW = ("attack", "access", "norm", "eps")
"""The columns that name a row of a record."""


def console() -> Console:
    """A console on standard output; wide enough for a table when it is no terminal."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=120)


def print_line(text: str) -> None:
    """Print a line that people copy, such as a path: no wrapping, no markup."""
    console().print(text, markup=False, soft_wrap=True)


def table(*columns: str, numbers: Iterable[str] = (), title: str = "", caption: str = "") -> Table:
    """An empty table of columns of text, then columns of numbers, aligned on the right."""
    made = Table(title=title or None, caption=caption or None)
    for name in columns:
        made.add_column(name)
    for name in numbers:
        made.add_column(name, justify="right")
    return made
