"""`robench share`: models that records of a collection keep alike, kept once."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "keep the models that records of a collection have alike once, beside them"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("records", type=Path, help="folder that holds records")


def run(options: argparse.Namespace) -> int:
    """Share what is alike, and say how much that saves."""
    from robench.base.errors import CacheError, UserError
    from robench.base.text import counted
    from robench.cli.terminal import print_line
    from robench.records.shared import share
    from robench.records.store import folders, read

    if not options.records.is_dir():
        raise UserError(f"expected a folder of records, got {str(options.records)!r}")
    named = {folder: read(folder).files for folder in folders(options.records)}
    try:
        saved = share(named)
    except OSError as error:
        raise CacheError(f"expected to write below {options.records}, got: {error}") from error
    print_line(f"{counted(len(named), 'record')}, {saved / 1e6:.1f} MB saved")
    return 0
