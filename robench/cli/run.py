"""`robench run`: one run from configuration to record, or a sweep."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from robench.cli.main import report_broken

HELP = "one run, or a sweep with -m"

USAGE = """\
usage: robench run [-m] [GROUP=CHOICE ...] [GROUP.CHOICE.OPTION=VALUE ...] [FLAG ...]

One run from configuration to record; with -m a sweep over comma-separated values.

  robench run defense=adversarial_training attack=pgd
  robench run attack=[fgsm,pgd,cw] attack.pgd.steps=100 threat.eps=8/255
  robench run -m defense=none,gaussian_training compressor=none seed=0,1,2
  robench run protocol=NAME defense=...   under a named protocol: robench plugins protocol
  robench run experiment=NAME        a preset; robench run sweep=NAME a named grid

flags:
  -m            sweep: every combination of comma-separated values is one job
  --dry-run     check all that can be and print the plan, run nothing
  --cfg job     print the composed configuration
  --json        print the record, or the plans, as JSON
  --quiet       no progress; print the record's folder alone
  --hydra-help  the flags of Hydra, which composes the run

settings:
  seed=0 images=N (a stratified subset of the test images) device=auto threads=N
  results=DIR cache=DIR data_root=DIR, or ROBENCH_RESULTS, ROBENCH_CACHE, ROBENCH_DATA
  threat.norm, threat.eps, threat.grid; train.epochs, train.lr, ... (robench plugins train)
  access=white_box|transfer|[white_box,transfer]; audit=off|quick|full

choices:"""


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments: all are Hydra's."""
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run(options: argparse.Namespace) -> int:
    """Compose and run what the arguments say, or explain it."""
    return compose_and_run(options.arguments)


def compose_and_run(arguments: Sequence[str]) -> int:
    """Run what the arguments after `robench run` say; returns the exit status."""
    report_broken()
    if {"--help", "-h"} & set(arguments):
        _print_help()
        return 0
    from robench.cli.hydra_app import launch

    return launch(arguments)


def _print_help() -> None:
    from robench.plugin.registry import registry

    print(USAGE)
    for kind, choices in registry().choices.items():
        print(f"  {kind:<12}{', '.join(sorted(choices))}")
    print("\n`robench plugins KIND` lists their options.")
