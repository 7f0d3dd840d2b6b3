"""`robench verify`: a record's saved examples, judged again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from robench.base.machine import resume_collector
from robench.cli.main import report_broken

if TYPE_CHECKING:
    from rich.text import Text

    from robench.replay.verify import Verification

HELP = "judge a record's saved examples again"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("record")


def run(options: argparse.Namespace) -> int:
    """Print per row whether its saved examples give the recorded labels; 1 when one does not."""
    from robench.cli.terminal import console, table
    from robench.records.store import find
    from robench.replay.verify import verify
    from robench.run.config import Places

    resume_collector()
    report_broken()
    places = Places.from_environment()
    verifications = verify(find(options.record, places.results), places)
    shown = table("attack", "access", "eps", "images", "inside the threat", "result")
    for one in verifications:
        shown.add_row(*_cells(one))
    console().print(shown)
    return 0 if all(one.equal for one in verifications) else 1


def _cells(one: Verification) -> tuple[str | Text, ...]:
    from robench.cli.terminal import styled

    return (
        one.attack,
        one.access,
        "" if one.eps is None else f"{one.eps:.4g}",
        str(one.n),
        "yes" if one.legal else styled("no", "red"),
        "same labels" if one.equal else styled(f"{one.different} labels differ", "red"),
    )
