"""`robench cache`: what is cached, and pruning it."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from robench.base.errors import UserError

if TYPE_CHECKING:
    from robench.run.cache import Cache

HELP = "list or prune cached steps"
MEBIBYTE = 2**20
DAY = 86_400.0


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("action", choices=("list", "prune"))
    parser.add_argument(
        "--days", type=float, default=0.0, help="prune what was not read for so long"
    )


def run(options: argparse.Namespace) -> int:
    """List every cached result and the total, or delete the old ones."""
    from robench.run.cache import Cache
    from robench.run.config import Places

    if not 0 <= options.days < math.inf:
        raise UserError(f"expected --days of at least 0, and finite, got {options.days}")
    cache = Cache(Places.from_environment().cache)
    if options.action == "prune":
        freed = cache.prune(options.days * DAY)
        print(f"freed {freed / MEBIBYTE:,.1f} MiB")
    else:
        _list(cache)
    return 0


def _list(cache: Cache) -> None:
    from robench.cli.terminal import console, print_text, table

    shown = table("step", "key", numbers=("MiB",), title=str(cache.root))
    total = 0
    for entry in cache.entries():
        shown.add_row(entry.step, entry.key, f"{entry.nbytes / MEBIBYTE:,.2f}")
        total += entry.nbytes
    console().print(shown)
    print_text(f"{total / MEBIBYTE:,.1f} MiB in all")
