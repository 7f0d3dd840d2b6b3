"""`robench compare`: two records, paired."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from robench.cli.formats import add_formats, print_json, print_plain

if TYPE_CHECKING:
    from robench.records.versus import Versus

HELP = "two records, paired on the same images"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    for name in ("first", "second"):
        parser.add_argument(name, metavar=name.upper(), help="a folder, the beginning of an id")
    add_formats(parser, "json", "csv", "latex")


def run(options: argparse.Namespace) -> int:
    """Print robust accuracies beside each other, their differences, and a sentence of verdict."""
    from robench.cli.main import complain
    from robench.cli.record_table import print_red, say_fault
    from robench.records.store import find, read
    from robench.records.versus import versus
    from robench.run.config import Places

    results = Places.from_environment().results
    first, second = (find(name, results) for name in (options.first, options.second))
    compared = versus(first, second)
    text = not (options.json or options.csv or options.latex)
    for folder in dict.fromkeys((first, second)):
        say_fault(read(folder), folder, print_red if text else complain)
    if options.json:
        print_json(asdict(compared))
    elif options.csv:
        print_plain(compared.tabular().csv())
    elif options.latex:
        caption = f"Robust accuracy in percent. First: {compared.first}; second: {compared.second}."
        print_plain(compared.for_paper().latex(caption))
    else:
        _print(compared)
    return 0


def _print(compared: Versus) -> None:
    from robench.base.grid import grid
    from robench.cli.terminal import print_prose, print_text, width

    print_prose(f"first: {compared.first}")
    print_prose(f"second: {compared.second}")
    table = compared.for_paper()
    rows = [[f"{row[0]} {row[1]}".strip(), *map(str, row[2:])] for row in table.rows]
    heads = ["robust accuracy, %", "first", "second", "difference", "p"]
    for number, line in enumerate(grid(heads, rows, width(), spare=1)):
        print_text(line, "" if number else "bold")
    print_prose(
        "first minus second in points, 95 % intervals (Newcombe), p by McNemar; paired on the "
        "same images, certified rows apart",
        "dim",
    )
    if compared.left_out:
        print_prose(f"left out, {'; '.join(compared.left_out)}", "dim")
    print_prose(compared.verdict, "bold")
