"""What a study's page says of numbers that records of equal proof give otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

DISPUTED = " (disputed)"


def marked(text: str, others: Iterable[str]) -> str:
    """A text in Markdown, where each cell of a table and each other line says so that differs in
    one of the other texts; where these have other lines, its title."""
    lines, *each = (one.split("\n") for one in (text, *others))
    if any(len(one) != len(lines) for one in each):
        return "\n".join([lines[0] + DISPUTED, *lines[1:]])
    return "\n".join(map(_line, lines, zip(*each, strict=True))) if each else text


def _line(line: str, others: Sequence[str]) -> str:
    if all(one == line for one in others):
        return line
    if not line.startswith("|"):
        return line + DISPUTED
    cells, *each = (one.strip("| ").split(" | ") for one in (line, *others))
    if any(len(one) != len(cells) for one in each):
        cells[0] += DISPUTED
    else:
        for at, same in enumerate(zip(*each, strict=True)):
            cells[at] += DISPUTED * any(one != cells[at] for one in same)
    return f"| {' | '.join(cells)} |"
