"""`robench show`: one record."""

from __future__ import annotations

import argparse

HELP = "print one record"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record", help="its folder or the beginning of its id")
    parser.add_argument("--json", action="store_true", help="the record as it is")


def run(options: argparse.Namespace) -> int:
    """Print a record, and the command that runs it again."""
    from robench.cli.record_table import print_record
    from robench.cli.terminal import print_line
    from robench.records.store import check_choices, find, read
    from robench.run.again import again
    from robench.run.config import Places

    folder = find(options.record, Places.from_environment().results)
    record = read(folder)
    check_choices(record)
    print_record(record, folder, json=options.json)
    if not options.json:
        found = again(record)
        print_line(f"again: {found.command or f'no command, {found.reason}'}")
    return 0
