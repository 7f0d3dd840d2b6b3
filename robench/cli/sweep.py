"""`robench sweep status`: how it stands with the jobs of a sweep, at any time, from anywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

LAST = Path("last")
HELP = "how it stands with a sweep: done, running, failed, lost"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    status = actions.add_parser("status", help="what is done, runs, failed or was lost, and why")
    status.add_argument("folder", type=Path, metavar="DIR", help="RESULTS/sweeps/TIME, or last")
    status.add_argument("--json", action="store_true", help="print a list of the jobs as JSON")


def run(options: argparse.Namespace) -> int:
    """Print how it stands; 1 where a job failed or was lost, else 0."""
    from robench.cli.formats import print_json
    from robench.cli.slurm import held, print_held, states_of, words_in
    from robench.cli.standings import print_standings
    from robench.run.config import Places
    from robench.run.sweeps import latest, standings, trainings

    folder = latest(Places.from_environment().results) if options.folder == LAST else options.folder
    words = words_in(folder)
    engine = states_of(words)
    found = standings(folder, engine)
    if options.json:
        print_json([{**vars(one), "record": one.record and str(one.record)} for one in found])
    else:
        print_standings(found, trainings(folder, engine))
        print_held(held(words))
    return 1 if any(one.state in ("failed", "lost") for one in found) else 0
