"""`robench show`: one record."""

from __future__ import annotations

import argparse

HELP = "print one record"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record", help="its folder or the beginning of its id")
    parser.add_argument("--json", action="store_true", help="the record as it is")


def run(options: argparse.Namespace) -> int:
    """Print a record."""
    from robench.cli.record_table import print_record
    from robench.records.store import find, read
    from robench.run.config import Places

    folder = find(options.record, Places.from_environment().results)
    print_record(read(folder), folder, json=options.json)
    return 0
