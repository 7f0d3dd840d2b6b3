"""`robench gate`: whether a record is good enough, for a pipeline that must stop."""

from __future__ import annotations

import argparse

from robench.cli.formats import add_formats, print_json

HELP = "exit with 1 unless a record meets what is demanded of it"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "record", metavar="RECORD", help="its folder, the beginning of its id, last"
    )
    parser.add_argument(
        "--min",
        action="append",
        default=[],
        metavar="METRIC[AXES]=NUMBER",
        help="a value and the least it may be: 'headline[linf,8/255]=0.4', the smallest thing "
        "known under a threat; may be given several times",
    )
    parser.add_argument(
        "--audit", choices=("pass", "suspect"), help="the worst verdict that an audit may have"
    )
    add_formats(parser, "json")
    parser.add_argument("--quiet", action="store_true", help="print only what is not met")


def run(options: argparse.Namespace) -> int:
    """Print a line a demand; 1 unless all are met.

    Raises UserError for a record that contradicts itself: what it says is met by nobody's numbers.
    """
    from robench.base.errors import UserError
    from robench.base.text import one_line
    from robench.cli.terminal import print_prose
    from robench.records.consistent import inspect
    from robench.records.demand import check_audit, check_least, read_least
    from robench.records.headline import audit_table, headline_values
    from robench.records.store import find, read
    from robench.run.config import Places

    if not options.min and not options.audit:
        raise UserError("expected --min METRIC[AXES]=NUMBER or --audit pass, got nothing to check")
    demands = [read_least(text) for text in options.min]
    folder = find(options.record, Places.from_environment().results)
    record = read(folder)
    try:
        outcomes = inspect(folder).outcomes
    except UserError as error:
        raise UserError(f"{one_line(folder)} contradicts itself: {error}") from error
    values = (*record.values, *headline_values(record, outcomes, audit_table(folder)))
    checked = [check_least(demand, values) for demand in demands]
    checked += check_audit(record, options.audit) if options.audit else []
    if options.json:
        print_json({"record": record.id, "demands": [vars(one) for one in checked]})
    else:
        for one in checked:
            if not (options.quiet and one.met):
                word, colour = ("met", "green") if one.met else ("not met", "red")
                print_prose(f"{word}: {one.text}", colour)
    return 0 if all(one.met for one in checked) else 1
