"""`robench cache`: what is cached, whether it is whole, and pruning it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from robench.base.errors import UserError
from robench.base.text import counted
from robench.cli.formats import add_formats, print_json

if TYPE_CHECKING:
    from robench.run.cache import Cache, Entry

HELP = "list, check or prune cached steps"
MEBIBYTE = 2**20
DAY = 86_400.0


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument(
        "action",
        metavar="ACTION",
        choices=("list", "check", "prune"),
        help="list; check (hash every file; the next run makes what is torn again); or prune: say "
        "what would be deleted, trained networks and converted data too, and delete it with "
        "--yes; the next run that needs it makes it again, and records and downloads stay",
    )
    parser.add_argument(
        "--days",
        type=float,
        default=0.0,
        help="prune only what was not read for so many days; by default all is pruned",
    )
    parser.add_argument("--yes", action="store_true", help="prune deletes")
    add_formats(parser, "json")


def run(options: argparse.Namespace) -> int:
    """List every cached result and the total, hash them all, or prune them.

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
        _prune(cache, options.days, delete=options.yes)
    elif options.json:
        entries = (vars(one) | {"folder": str(one.folder)} for one in cache.entries())
        print_json([{**entry, "of": cache.of(entry["step"], entry["key"])} for entry in entries])
    else:
        _print(cache, cache.entries())
    return 0


def _check(cache: Cache) -> int:
    from robench.cli.terminal import print_text

    torn = cache.check()
    for entry in torn:
        print_text(f"torn: {entry.step} {entry.key}, {entry.folder}")
    print(f"{len(torn)} torn; the next run that needs them makes them again")
    return 1 if torn else 0


def _prune(cache: Cache, days: float, *, delete: bool) -> None:
    """Say what would be deleted, or delete it."""
    old = cache.unread(days * DAY)
    if delete:
        cache.delete(old)
        print(f"deleted: {_amount(old)}")
        return
    _print(cache, old)
    print("nothing is deleted yet: --yes deletes these, --days 30 spares what was read since")


def _print(cache: Cache, entries: Iterable[Entry]) -> None:
    """A line for what was made of the same thing, and a sum a step."""
    from robench.base.grid import grid
    from robench.cli.terminal import print_text, width

    sums: dict[str, dict[str, list[int]]] = {}
    for entry in entries:
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


def _amount(entries: Sequence[Entry]) -> str:
    size = sum(entry.nbytes for entry in entries) / MEBIBYTE
    return f"{counted(len(entries), 'result')}, {size:,.1f} MiB"


def _sum(sizes: list[int]) -> tuple[str, str]:
    return str(len(sizes)), f"{sum(sizes) / MEBIBYTE:,.2f}"
