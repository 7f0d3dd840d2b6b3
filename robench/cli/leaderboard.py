"""`robench leaderboard`: records to a page."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from robench.base.errors import UserError
from robench.base.machine import resume_collector

HELP = "records to a page that opens from disk"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("records", nargs="+", type=Path, help="folders that hold records")
    parser.add_argument("--out", type=Path, help="where the page goes")
    parser.add_argument(
        "--verified",
        type=Path,
        help="folder of attestations (default: verified beside the first folder of records)",
    )
    parser.add_argument("--check", action="store_true", help="check the records, make no page")


def run(options: argparse.Namespace) -> int:
    """Make the page, or check the records; 1 when a check failed."""
    if options.check:
        return _check(options.records)
    if options.out is None:
        raise UserError("expected --out DIR for the page, or --check")
    return _build(options.records, options.out, options.verified)


def _build(records: list[Path], out: Path, verified: Path | None) -> int:
    from robench.cli.terminal import print_line
    from robench.leaderboard.build import build
    from robench.records.trust import LEVELS

    resume_collector()
    site = build(records, out, verified)
    for one in site.refused:
        print_line(f"left out {one.name}: {one.reason}")
    levels = Counter(row.proof.level for row in site.rows)
    print_line(", ".join(f"{levels[level]} {level}" for level in reversed(LEVELS)))
    print_line(f"{len(site.rows)} rows: {out / 'index.html'}")
    return 0


def _check(records: list[Path]) -> int:
    from robench.cli.terminal import print_line
    from robench.leaderboard.check import check
    from robench.run.config import Places

    resume_collector()
    failed = 0
    for result in check(records, Places.from_environment()):
        print_line(f"{result.record}: {result.check} {result.outcome} {result.text}".rstrip())
        failed += result.outcome == "fail"
    return 1 if failed else 0
