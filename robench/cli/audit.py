"""`robench audit`: the full audit of a stored run, or of one's own model."""

from __future__ import annotations

import argparse

from robench.base.errors import UserError
from robench.base.machine import resume_collector
from robench.cli.main import report_broken
from robench.cli.run import compose_and_run

HELP = "the full audit of a stored run, or of your own model"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record", nargs="?", help="its folder or the beginning of its id")
    parser.add_argument("--model", metavar="MODULE:FUNCTION", help="your own trained network")
    parser.add_argument("overrides", nargs="*", help="with --model: dataset=mnist attack=pgd ...")


def run(options: argparse.Namespace) -> int:
    """Audit in full what was named, and print its record."""
    if options.model:
        # argparse takes the first override for a record.
        overrides = [options.record] * bool(options.record) + options.overrides
        own = [f"model.python.spec={options.model}", "model.python.pretrained=true"]
        return compose_and_run(["model=python", *own, "audit=full", *overrides])
    if not options.record or options.overrides:
        raise UserError("expected one RECORD, or --model MODULE:FUNCTION; see robench audit --help")
    from robench.cli.record_table import print_record
    from robench.records.store import find
    from robench.replay.audit import audit_record
    from robench.run.config import Places

    resume_collector()
    report_broken()
    places = Places.from_environment()
    print_record(*audit_record(find(options.record, places.results), places))
    return 0
