"""`robench cache`: what is cached, whether it is whole, and pruning it."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from robench.base.errors import UserError
from robench.cli.formats import add_formats, print_json

if TYPE_CHECKING:
    from robench.run.cache import Cache

HELP = "list, check or prune cached steps"
MEBIBYTE = 2**20
DAY = 86_400.0


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "action",
        metavar="ACTION",
        choices=("list", "check", "prune"),
        help="list, check (hash every file; the next run makes what is torn again) or prune",
    )
    parser.add_argument(
        "--days", type=float, default=0.0, help="prune what was not read for so long"
    )
    add_formats(parser, "json")


def run(options: argparse.Namespace) -> int:
    """List every cached result and the total, hash them all, or delete the old ones.

    Exit status 1 when one is torn.
    """
    from robench.run.cache import Cache
    from robench.run.config import Places

    if not 0 <= options.days < math.inf:
        raise UserError(f"expected --days of at least 0, and finite, got {options.days}")
    cache = Cache(Places.from_environment().cache)
    if options.action == "check":
        return _check(cache)
    if options.action == "prune":
        freed = cache.prune(options.days * DAY)
        print(f"freed {freed / MEBIBYTE:,.1f} MiB")
    elif options.json:
        entries = (vars(one) | {"folder": str(one.folder)} for one in cache.entries())
        print_json([{**entry, "of": cache.of(entry["step"], entry["key"])} for entry in entries])
    else:
        _list(cache)
    return 0


def _check(cache: Cache) -> int:
    from robench.cli.terminal import print_text

    torn = cache.check()
    for entry in torn:
        print_text(f"torn: {entry.step} {entry.key}, {entry.folder}")
    print(f"{len(torn)} torn; the next run that needs them makes them again")
    return 1 if torn else 0


def _list(cache: Cache) -> None:
    """A line for what was made of the same thing, and a sum a step."""
    from robench.base.grid import grid
    from robench.cli.terminal import print_text, width

    sums: dict[str, dict[str, list[int]]] = {}
    for entry in cache.entries():
        of = cache.of(entry.step, entry.key)
        sums.setdefault(entry.step, {}).setdefault(of, []).append(entry.nbytes)
    rows = []
    for step, named in sums.items():
        rows.append([step, *_sum([size for own in named.values() for size in own])])
        rows += [[f"  {of}", *_sum(own)] for of, own in named.items() if of]
    print_text(str(cache.root), "bold")
    for line in grid(["step", "results", "MiB"], rows, width()):
        print_text(line)
    total = sum(size for named in sums.values() for own in named.values() for size in own)
    print_text(f"{total / MEBIBYTE:,.1f} MiB in all")


def _sum(sizes: list[int]) -> tuple[str, str]:
    return str(len(sizes)), f"{sum(sizes) / MEBIBYTE:,.2f}"
