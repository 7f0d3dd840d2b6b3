"""What each subcommand of `robench` does; heavy imports inside the functions."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from robench.base.errors import UserError


def run(arguments: list[str]) -> int:
    """Compose and run what the arguments say, or explain it."""
    _report_broken()
    if {"--help", "-h"} & set(arguments):
        from robench.cli.help import print_run_help

        print_run_help()
        return 0
    from robench.cli.run import main

    return main(arguments)


def plugins(options: argparse.Namespace) -> int:
    """What is installed."""
    from robench.cli.help import print_plugins

    _report_broken()
    print_plugins(options.kind)
    return 0


def show(options: argparse.Namespace) -> int:
    """Print one record."""
    from robench.cli.show import print_record
    from robench.records.store import find, read

    folder = find(options.record, _results())
    record = read(folder)
    if options.json:
        print(record.model_dump_json(indent=1))  # noqa: T201
    else:
        print_record(record, folder)
    return 0


def compare(options: argparse.Namespace) -> int:
    """Print two records, paired."""
    from robench.cli.show import print_comparison
    from robench.records.compare import compare as compared
    from robench.records.store import find

    first, second = (find(name, _results()) for name in (options.first, options.second))
    print_comparison(compared(first, second))
    return 0


def audit(options: argparse.Namespace) -> int:
    """Audit a stored run in full, or one's own model."""
    if options.model:
        given = [options.record] * bool(options.record) + options.overrides
        own = [f"model.python.spec={options.model}", "model.python.pretrained=true"]
        chosen = ["model=python", *own, "audit=full"]
        return run(chosen + given)
    if not options.record or options.overrides:
        raise UserError("expected one RECORD, or --model MODULE:FUNCTION; see robench audit --help")
    from robench.cli.show import print_record
    from robench.records.store import find
    from robench.replay.audit import audit_record
    from robench.run.config import Places

    _report_broken()
    print_record(*audit_record(find(options.record, _results()), Places.from_environment()))
    return 0


def verify(options: argparse.Namespace) -> int:
    """Judge a record's saved examples again; 1 when something differs."""
    from robench.cli.show import print_verification
    from robench.records.store import find
    from robench.replay.verify import verify as verified
    from robench.run.config import Places

    _report_broken()
    checks = verified(find(options.record, _results()), Places.from_environment())
    print_verification(checks)
    return 0 if all(check.equal for check in checks) else 1


def leaderboard(options: argparse.Namespace) -> int:
    """Records to a page."""
    from robench.leaderboard import command

    return command(options.records, options.out, check=options.check)


def study(options: argparse.Namespace) -> int:
    """Records beside a paper's numbers."""
    from robench.studies.catalogue import find
    from robench.studies.report import report
    from robench.studies.run import Records
    from robench.studies.runs import Runs

    chosen = find(options.name)
    records = Records(options.records or _results())
    runs = Runs(records, chosen.variants, chosen.measures)
    print(report(chosen, runs))  # noqa: T201
    return 0


def new_plugin(options: argparse.Namespace) -> int:
    """Write a plugin package to start from."""
    from robench.scaffold import USUAL
    from robench.scaffold import new_plugin as scaffold

    folder = scaffold(options.name, options.kinds or USUAL, options.out)
    print(f"{folder}: pip install -e '{folder}[test]', then pytest {folder}")  # noqa: T201
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a deployed model as a file."""
    from robench.cli.show import print_export
    from robench.records.store import find
    from robench.replay.export import export as exported
    from robench.run.config import Places

    _report_broken()
    record = find(options.record, _results())
    print_export(exported(record, options.format, options.out, Places.from_environment()))
    return 0


def cache(options: argparse.Namespace) -> int:
    """List or prune cached steps."""
    from robench.cli.show import print_cache
    from robench.run.cache import Cache
    from robench.run.config import Places

    kept = Cache(Places.from_environment().cache)
    if options.action == "prune":
        freed = kept.prune(options.days * 86_400)
        print(f"freed {freed / 2**20:,.1f} MiB")  # noqa: T201
    else:
        print_cache(kept)
    return 0


def _results() -> Path:
    from robench.run.config import Places

    return Places.from_environment().results


def _report_broken() -> None:
    from robench.plugin.registry import registry

    for broken in registry().broken:
        print(f"robench: {broken}", file=sys.stderr)  # noqa: T201
