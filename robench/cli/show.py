"""`robench show`: one record."""

from __future__ import annotations

import argparse

from robench.cli.formats import add_formats, print_plain

HELP = "print one record"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "record",
        metavar="RECORD",
        nargs="?",
        default="last",
        help="its folder, the beginning of its id, or last (the default)",
    )
    add_formats(parser, "json", "csv", "latex")


def run(options: argparse.Namespace) -> int:
    """Print a record, and the command that runs it again; 2 for one that contradicts itself."""
    from robench.cli.main import complain
    from robench.cli.record_table import print_record, print_red, say_fault
    from robench.cli.terminal import print_line
    from robench.records.headline import audit_table, headline_values
    from robench.records.shared import SHARED, missing
    from robench.records.sheet import attack_table, title
    from robench.records.store import check_choices, find, read, read_outcomes
    from robench.records.tabular import of_values
    from robench.run.again import again
    from robench.run.config import Places

    folder = find(options.record, Places.from_environment().results)
    record = read(folder)
    check_choices(record)
    if gone := missing(folder, record.files):
        complain(
            f"{', '.join(gone)}, which the record names: neither in {folder} nor among the shared "
            f"{folder.parent / SHARED}"
        )
    outcomes = read_outcomes(folder)
    text = not (options.json or options.csv or options.latex)
    # Beside what programs read it stands on standard error.
    fault = say_fault(record, folder, print_red if text else complain)
    if options.csv:
        more = headline_values(record, outcomes, audit_table(folder))
        print_plain(of_values((*record.values, *more)).csv())
    elif options.latex:
        table = attack_table(record, outcomes, audit_table(folder))
        print_plain(table.latex(f"{title(record)}. Percent of images that hold."))
    else:
        print_record(record, folder, json=options.json)
    if text:
        found = again(record)
        print_line(f"again: {found.command or f'no command, {found.reason}'}")
    return 2 if fault else 0
