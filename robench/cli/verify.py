"""`robench verify`: what records say, tried again on the models that they keep."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from robench.base.files import require_writable
from robench.base.machine import resume_collector
from robench.base.text import one_line
from robench.cli.formats import add_formats, print_json
from robench.cli.main import report_broken

if TYPE_CHECKING:
    from rich.text import Text

    from robench.records.trust import Step

HELP = "try again what records say, on the models that they keep"
MARKS = {"pass": ("green", "pass"), "fail": ("red", "FAIL"), "not done": ("", "not done")}
"""Style and word of each outcome."""


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "record", metavar="RECORD", nargs="+", help="a record's folder, the beginning of its id"
    )
    add_formats(parser, "json")
    parser.add_argument("--out", type=Path, help="folder to write an attestation a record into")


def run(options: argparse.Namespace) -> int:
    """Print a line a step and the level of each record; 1 when a step failed."""
    from robench.cli.terminal import console, print_line
    from robench.records.store import find
    from robench.records.trust import write_attestation
    from robench.replay.verify import verify
    from robench.run.config import Places

    if options.out:
        require_writable(options.out, "--out")
    resume_collector()
    report_broken()
    places = Places.from_environment()
    folders = [find(name, places.results) for name in options.record]
    refuted, plain = False, []
    for folder in folders:
        verification = verify(folder, places)
        refuted |= verification.refuted
        path = write_attestation(verification.attestation, options.out) if options.out else None
        if options.json:
            steps = [vars(step) for step in verification.steps]
            plain.append({"record": folder.name, "level": verification.level, "steps": steps})
            continue
        print_line(one_line(folder.name))
        for step in verification.steps:
            console().print(_line(step), soft_wrap=True)
        print_line(f"  level: {verification.level}")
        if path:
            print_line(f"  written to {path}")
    if options.json:
        print_json(plain)
    return 1 if refuted else 0


def _line(step: Step) -> Text:
    from robench.cli.terminal import join, styled

    # A text repeats what the record says, which may look like lines of its own.
    colour, word = MARKS[step.outcome]
    return join(styled(f"  {word:<8}", colour), one_line(f"{step.name}: {step.text}"))
