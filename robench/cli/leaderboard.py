"""`robench leaderboard`: records to a page."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from robench.base.errors import UserError
from robench.base.machine import resume_collector
from robench.base.text import counted, one_line

HELP = "records to a page that opens from disk"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("records", nargs="+", type=Path, help="folders that hold records")
    parser.add_argument("--out", type=Path, help="where the page goes")
    parser.add_argument(
        "--verified",
        type=Path,
        metavar="DIR",
        help="folder of attestations; without it nothing counts as verified",
    )
    parser.add_argument("--check", action="store_true", help="check the records, make no page")
    parser.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help="with --check: judge only N of the records that hold a model again",
    )


def run(options: argparse.Namespace) -> int:
    """Make the page, or check the records; 1 when a check failed."""
    if options.sample is not None and (not options.check or options.sample < 0):
        raise UserError("expected --sample N of at least 0, together with --check")
    if options.check:
        return _check(options.records, options.sample)
    if options.out is None:
        raise UserError("expected --out DIR for the page, or --check")
    return _build(options.records, options.out, options.verified)


def _build(records: list[Path], out: Path, verified: Path | None) -> int:
    from robench.cli.terminal import print_line
    from robench.leaderboard.build import build
    from robench.records.trust import LEVELS

    site = build(records, out, verified)
    for one in site.refused:
        print_line(one_line(f"left out {one.name}: {one.reason}"))
    if verified is None:
        print_line("no --verified folder given: nothing counts as verified")
    levels = Counter(row.proof.level for row in site.rows)
    print_line(", ".join(f"{levels[level]} {level}" for level in reversed(LEVELS)))
    print_line(f"{counted(len(site.rows), 'row')}: {out / 'index.html'}")
    return 0


def _check(records: list[Path], sample: int | None) -> int:
    from robench.cli.terminal import print_line
    from robench.leaderboard.check import check
    from robench.run.config import Places

    resume_collector()
    counts = {"pass": 0, "fail": 0, "not done": 0}
    for result in check(records, Places.from_environment(), sample):
        said = f"{result.record}: {result.check} {result.outcome} {result.text}"
        print_line(one_line(said))
        counts[result.outcome] += 1
    if not any(counts.values()):
        raise UserError(f"expected records below {', '.join(map(str, records))}, got none")
    print_line(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["fail"] else 0
