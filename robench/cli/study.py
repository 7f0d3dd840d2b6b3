"""`robench study`: records beside a paper's numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "records beside a paper's numbers and claims"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("name", help="its preset's name: song2021_mnist, ...")
    parser.add_argument("--records", type=Path, help="the folder that holds them")


def run(options: argparse.Namespace) -> int:
    """Print the study's report."""
    from robench.base.errors import UserError
    from robench.base.text import visible
    from robench.run.config import Places
    from robench.studies.catalogue import find
    from robench.studies.report import report
    from robench.studies.run import Records
    from robench.studies.runs import Runs

    study = find(options.name)
    if options.records and not options.records.is_dir():
        raise UserError(f"expected --records to name a folder of records, got {options.records}")
    records = Records(options.records or Places.from_environment().results)
    print(visible(report(study, Runs(records, study.variants, study.measures))))
    return 0
