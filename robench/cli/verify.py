"""`robench verify`: what records say, tried again on the models that they keep."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from robench.base.machine import resume_collector
from robench.cli.main import report_broken

if TYPE_CHECKING:
    from robench.records.trust import Step

HELP = "try again what records say, on the models that they keep"
MARKS = {"pass": "[green]pass[/green]", "fail": "[red]FAIL[/red]", "not done": "not done"}


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record", nargs="+", help="a record's folder, or the beginning of its id")
    parser.add_argument("--out", type=Path, help="folder to write an attestation a record into")


def run(options: argparse.Namespace) -> int:
    """Print a line a step and the level of each record; 1 when a step failed."""
    from robench.cli.terminal import console
    from robench.records.store import find
    from robench.records.trust import write_attestation
    from robench.replay.verify import verify
    from robench.run.config import Places

    resume_collector()
    report_broken()
    places = Places.from_environment()
    folders = [find(name, places.results) for name in options.record]
    out, refuted = console(), False
    for folder in folders:
        verification = verify(folder, places)
        out.print(folder.name, highlight=False)
        for step in verification.steps:
            out.print(_line(step), highlight=False, soft_wrap=True)
        out.print(f"  level: {verification.level}", highlight=False)
        refuted |= verification.refuted
        if options.out:
            path = write_attestation(verification.attestation, options.out)
            out.print(f"  written to {path}", highlight=False, soft_wrap=True)
    return 1 if refuted else 0


def _line(step: Step) -> str:
    from rich.markup import escape

    text = escape("".join(c if c.isprintable() else "?" for c in step.text))
    return f"  {MARKS[step.outcome]:<10} {step.name}: {text}"
