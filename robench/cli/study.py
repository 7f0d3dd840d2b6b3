"""`robench study`: records beside a paper's numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

from robench.cli.formats import add_formats, print_json, print_plain

HELP = "records beside a paper's numbers and claims"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("name", metavar="NAME", help="its preset's name: song2021_mnist, ...")
    parser.add_argument("--records", type=Path, help="the folder that holds them")
    add_formats(parser, "json", "csv", "latex")


def run(options: argparse.Namespace) -> int:
    """Print the study's report."""
    from robench.base.errors import UserError
    from robench.base.text import one_line, true_minus, visible
    from robench.cli.terminal import print_line
    from robench.run.config import Places
    from robench.studies.catalogue import find
    from robench.studies.report import report
    from robench.studies.run import Records
    from robench.studies.runs import Runs
    from robench.studies.tabular import for_paper, of_study

    study = find(options.name)
    if options.records and not options.records.is_dir():
        raise UserError(f"expected --records to name a folder of records, got {options.records}")
    folder = options.records or Places.from_environment().results
    records = Records(folder)
    runs = Runs(records, study.variants, study.measures)
    if options.json or options.csv:
        table = of_study(study, runs)
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        print_json(rows) if options.json else print_plain(table.csv())
    elif options.latex:
        for caption, table in for_paper(study, runs):
            print_plain(table.latex(caption))
    elif not list(runs):
        for name, why in records.aside.items():
            print_line(one_line(f"left out {name}: {why}"))
        print(visible(f"none of its {len(study.variants)} systems is in {folder}; make them with"))
        print(visible(f"  {study.command}"))
    else:
        print(visible(true_minus(report(study.beside(folder), runs))))
    return 0
