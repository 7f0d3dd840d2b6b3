"""`robench list`: the records there are."""

from __future__ import annotations

import argparse
from pathlib import Path

from robench.cli.formats import add_formats, print_json, print_plain

HELP = "the records there are, the latest first"
LATEST, MOST = 20, 120
"""Records that are listed unasked, and letters of a cell."""


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "records", nargs="?", type=Path, help="folder that holds records (default: results)"
    )
    parser.add_argument("--all", action="store_true", help=f"all, not the latest {LATEST}")
    add_formats(parser, "json", "csv")


def run(options: argparse.Namespace) -> int:
    """Print a line a record."""
    from robench.base.errors import UserError
    from robench.base.grid import grid
    from robench.base.text import counted, shortened, unmarked
    from robench.cli.standings import ROBUST
    from robench.cli.terminal import print_prose, print_text, width
    from robench.records.overview import FAULT, latest, lines
    from robench.run.config import Places

    results = options.records or Places.from_environment().results
    if options.records and not results.is_dir():
        raise UserError(f"expected a folder of records, got {str(results)!r}")
    found = latest(results, None if options.all else LATEST)
    table = lines(found.records)
    if options.json:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif options.csv:
        print_plain(table.csv())
    else:
        rows = [[shortened(unmarked(str(cell or "")), MOST) for cell in row] for row in table.rows]
        for number, line in enumerate(grid(table.columns, rows, width(), spare=3)):
            print_text(line, "" if number else "bold")
        more = "" if len(rows) + len(found.broken) == found.there else "; --all lists all"
        print_prose(f"{len(rows)} of {counted(found.there, 'record')} in {results}{more}")
        print_prose(ROBUST, "dim")
        for one in found.records:
            if one.fault:
                print_prose(f"{one.record.id[:8]} {FAULT}: {one.fault}", "red")
    for broken in found.broken:
        print_prose(f"left out: {broken}", "yellow")
    return 0
