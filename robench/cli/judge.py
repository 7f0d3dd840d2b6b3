"""`robench judge`: the model that a record keeps, under a named protocol."""

from __future__ import annotations

import argparse

from robench.base.machine import resume_collector
from robench.cli.main import report_broken

HELP = "judge the model of a record under a named protocol, nothing trained"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record", help="its folder or the beginning of its id")
    parser.add_argument(
        "--protocol",
        required=True,
        nargs="+",
        metavar="NAME",
        help="one or several of `robench plugins protocol`",
    )


def run(options: argparse.Namespace) -> int:
    """Judge under each protocol and print the new records."""
    from robench.records.protocols import get

    report_broken()
    chosen = [get(name) for name in options.protocol]
    from robench.cli.record_table import print_record
    from robench.records.store import find
    from robench.replay.judge import judge_record
    from robench.run.config import Places

    resume_collector()
    places = Places.from_environment()
    folder = find(options.record, places.results)
    for protocol in chosen:
        print_record(*judge_record(folder, protocol, places))
    return 0
