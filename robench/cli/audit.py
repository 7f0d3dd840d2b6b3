"""`robench audit`: the full audit of a stored run, or of one's own model."""

from __future__ import annotations

import argparse

from robench.base.errors import UserError
from robench.base.machine import resume_collector
from robench.cli.formats import add_formats
from robench.cli.main import report_broken
from robench.cli.run import compose_and_run

HELP = "the full audit of a stored run, or of your own model"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "record", metavar="RECORD", nargs="?", help="its folder or the beginning of its id"
    )
    add_formats(parser, "json")
    parser.add_argument("--model", metavar="MODULE:FUNCTION", help="your own trained network")
    parser.add_argument("overrides", nargs="*", help="with --model: dataset=mnist attack=pgd ...")


def run(options: argparse.Namespace) -> int:
    """Audit in full what was named, and print its record."""
    if options.model:
        # argparse takes the first override for a record.
        overrides = [options.record] * bool(options.record) + options.overrides
        own = [f"model.python.spec={options.model}", "model.python.pretrained=true"]
        flags = ["--json"] * options.json
        return compose_and_run([*flags, "model=python", *own, "audit=full", *overrides])
    if not options.record or options.overrides:
        raise UserError("expected one RECORD, or --model MODULE:FUNCTION; see robench audit --help")
    from robench.cli.record_table import print_record
    from robench.cli.terminal import print_prose
    from robench.records.said import findings
    from robench.records.store import find, read_outcomes
    from robench.replay.audit import audit_record
    from robench.run.config import Places

    resume_collector()
    report_broken()
    places = Places.from_environment()
    folder = find(options.record, places.results)
    _ = read_outcomes(folder)  # what is damaged is not worth the work
    record, folder = audit_record(folder, places)
    print_record(record, folder, json=options.json)
    if not options.json:
        for line in findings(record):
            print_prose(line.text, line.style)
    return 0
