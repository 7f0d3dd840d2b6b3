"""A table of plain text: columns of one width, folded into blocks where the line is too short."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

GAP = "  "


def fold(text: str, width: int | None) -> list[str]:
    """A text as lines of at most `width` letters less two indents; no word is broken."""
    if width is None:
        return [text]
    return textwrap.wrap(
        text, max(20, width - 4), break_long_words=False, break_on_hyphens=False
    ) or [""]


def grid(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None, spare: int = 0
) -> Iterator[str]:
    """The lines of a table: its first column on the left, the others on the right.

    Within `width` letters the last `spare` columns are left out first; then the columns are split
    into blocks, one below the other, each with the first column. No width: all stands side by side.
    """
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    shown = list(range(1, len(heads)))
    while spare and not _fits(shown, widths, width):
        shown, spare = shown[:-1], spare - 1
    while shown or len(heads) == 1:
        block = shown[:1]
        while len(block) < len(shown) and _fits(shown[: len(block) + 1], widths, width):
            block = shown[: len(block) + 1]
        yield from _block(heads, rows, block, widths)
        shown = shown[len(block) :]
        if not shown:
            return
        yield ""


def _fits(columns: Sequence[int], widths: Sequence[int], width: int | None) -> bool:
    return width is None or widths[0] + sum(len(GAP) + widths[at] for at in columns) <= width


def _block(
    heads: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int], widths: list[int]
) -> Iterator[str]:
    for at, row in enumerate([heads, *rows]):
        # A row that says nothing in these columns is left to another block.
        if at == 0 or not columns or any(row[column] for column in columns):
            cells = [row[0].ljust(widths[0]), *(row[one].rjust(widths[one]) for one in columns)]
            yield GAP.join(cells).rstrip()
