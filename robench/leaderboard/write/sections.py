"""The sections of a study's report, which are Markdown, as the page shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, zip_longest

import markupsafe

from robench.base.text import true_minus, visible

HEADING = "## "
RULE = re.compile(r"(\|\s*:?-+:?\s*)+\|?")
"""The line below a table's head."""
FIGURE = re.compile(r"[-+\N{MINUS SIGN}]?\.?\d.*|-|not run")
"""What stands in a column of numbers."""
MARKS = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*(?=\S)([^*]+)(?<=\S)\*\*"), r"<b>\1</b>"),
    (re.compile(r"\*(?=\S)([^*]+)(?<=\S)\*"), r"<i>\1</i>"),
)
"""Markdown's marks within a line, and what HTML has for each."""


@dataclass(frozen=True)
class Block:
    """A paragraph, a list's lines, or a table, whose first row is its head."""

    kind: str
    """text, list or table."""
    lines: list[markupsafe.Markup]
    """Those of a paragraph or a list."""
    rows: list[list[markupsafe.Markup]]
    numbers: list[bool]
    """Of each column of the table, whether it holds numbers."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block]


def sections(markdown: str) -> Iterator[Section]:
    """The sections of a Markdown text; what stands above the first heading has no title."""
    for part in re.split(rf"^(?={HEADING})", true_minus(markdown), flags=re.MULTILINE):
        lines = part.strip().splitlines()
        title = lines.pop(0).removeprefix(HEADING) if part.startswith(HEADING) else ""
        if title or lines:
            yield Section(title, list(_blocks(lines)))


def _blocks(lines: list[str]) -> Iterator[Block]:
    for kind, same in groupby(lines, _kind):
        found = list(same)
        if kind == "table":
            yield _table([line for line in found if not RULE.fullmatch(line)])
        elif kind:
            yield Block(kind, [inline(line.removeprefix("- ")) for line in found], [], [])


def _kind(line: str) -> str:
    if line.startswith("|"):
        return "table"
    return "list" if line.startswith("- ") else "text" if line.strip() else ""


def _table(lines: list[str]) -> Block:
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    columns = zip_longest(*rows[1:], fillvalue="")
    numbers = [all(map(FIGURE.fullmatch, column)) for column in columns]
    numbers += [False] * (len(rows[0]) - len(numbers))
    return Block("table", [], [list(map(inline, row)) for row in rows], numbers)


def inline(text: str) -> markupsafe.Markup:
    """A line's text, escaped first, so that the marks are all that becomes markup."""
    found = str(markupsafe.escape(visible(text)))
    for pattern, made in MARKS:
        found = pattern.sub(made, found)
    return markupsafe.Markup(found)
