"""What the commands print with: every text is shown as it is, markup and control codes too."""

from __future__ import annotations

import os

from rich.console import Console
from rich.text import Text

from robench.base.grid import fold
from robench.base.text import visible

UNBOUND = 10_000
"""Letters of a line that is never folded."""


class _Console(Console):
    """A reader who closed early ends the command as any output does, not with rich's status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def width() -> int | None:
    """Letters of a line of the terminal, or of COLUMNS; none where the output is no terminal."""
    shown = Console()
    return shown.width if shown.is_terminal or "COLUMNS" in os.environ else None


def console() -> Console:
    """A console on standard output; no line is cut where it is no terminal."""
    return _Console(width=width() or UNBOUND)


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
