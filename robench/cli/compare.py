"""`robench compare`: two records, paired."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from robench.records.compare import Comparison

HELP = "two records, paired on the same images"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("first")
    parser.add_argument("second")


def run(options: argparse.Namespace) -> int:
    """Print paired differences with their intervals and McNemar p-values."""
    from robench.cli.terminal import ROW, console, table
    from robench.records.compare import compare
    from robench.records.store import find
    from robench.run.config import Places

    results = Places.from_environment().results
    shown = table(
        *ROW,
        numbers=("first", "second", "difference", "p (McNemar, exact)"),
        caption="first minus second on the same images; 95 % intervals (Newcombe)",
    )
    for row in compare(find(options.first, results), find(options.second, results)):
        shown.add_row(*_cells(row))
    console().print(shown)
    return 0


def _cells(row: Comparison) -> tuple[str | Text, ...]:
    from robench.cli.terminal import join, styled

    pair = row.paired
    interval = styled(f"[{100 * pair.low:+.1f}, {100 * pair.high:+.1f}]", "dim")
    return (
        row.attack,
        row.access,
        row.norm,
        "" if row.eps is None else f"{row.eps:.4g}",
        f"{row.first:.1%}",
        f"{row.second:.1%}",
        join(f"{100 * pair.difference:+.1f}", interval),
        f"{pair.p_value:.3g}",
    )
