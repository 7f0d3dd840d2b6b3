"""`robench challenge`: better adversarial examples for a record."""

from __future__ import annotations

import argparse
from pathlib import Path

from robench.base.machine import resume_collector
from robench.cli.main import report_broken

HELP = "judge better adversarial examples for a record, and keep those that break it"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record")
    parser.add_argument("examples", type=Path, help=".npz file of `images`, and `index` for some")
    parser.add_argument("--norm", required=True, choices=("linf", "l2"))
    parser.add_argument("--eps", required=True, help='size of the ball, such as "8/255"')
    parser.add_argument("--source", required=True, help="who found the examples, or with what")


def run(options: argparse.Namespace) -> int:
    """Print how many images fall that the record says hold, and where that is kept."""
    from robench.base.errors import UserError
    from robench.base.text import counted
    from robench.cli.terminal import print_line
    from robench.core.threat import parse_eps
    from robench.leaderboard.read.private import check_text
    from robench.records.store import find
    from robench.replay.challenge import challenge
    from robench.run.config import Places

    resume_collector()
    report_broken()
    places = Places.from_environment()
    (eps,) = parse_eps(options.eps) or ("",)
    if isinstance(eps, str):
        raise UserError(f"expected a number for --eps, got {options.eps!r}")
    check_text(options.source, "--source")
    folder = find(options.record, places.results)
    given = options.examples, options.norm, eps, options.source
    found = challenge(folder, *given, places)
    of = f"{found.broken} of {counted(found.held, 'image')} that the record says hold"
    print_line(f"{counted(found.examples, 'example')} broke {of}")
    print_line("nothing is written" if found.path is None else f"written to {found.path}")
    return 0
