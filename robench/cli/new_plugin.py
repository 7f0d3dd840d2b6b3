"""`robench new-plugin`: a plugin package to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a plugin package to start from"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("name", help="robench-mine, for instance")
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="attack, metric, ...")
    parser.add_argument("--out", type=Path, default=Path(), help="where the package goes")


def run(options: argparse.Namespace) -> int:
    """Write the package and say how to install and test it."""
    from robench.scaffold import USUAL, new_plugin

    folder = new_plugin(options.name, options.kinds or USUAL, options.out)
    print(f"{folder}: pip install -e '{folder}[test]', then pytest {folder}")
    return 0
