"""The `robench` command: one function a subcommand, heavy imports inside it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from robench.errors import UserError
from robench.machine import calm_threads

DEBUG = "ROBENCH_DEBUG"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 bad input, 1 a fault of robench."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    calm_threads()
    try:
        return _dispatch(arguments)
    except UserError as error:
        if os.environ.get(DEBUG):
            raise
        print(f"robench: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        print("robench: interrupted; the same command goes on where it was", file=sys.stderr)  # noqa: T201
        return 130
    except BrokenPipeError:
        # The reader closed early (`| head`); python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        text = " ".join(str(error).split())
        print(  # noqa: T201
            f"robench: internal error, {type(error).__name__}: {text}; run again with {DEBUG}=1 "
            "for the traceback and report it",
            file=sys.stderr,
        )
        return 1


def _dispatch(arguments: list[str]) -> int:
    # Hydra reads everything after `run` itself.
    if arguments[:1] == ["run"]:
        return _run(arguments[1:])
    options = _parser().parse_args(arguments)
    result: int = options.command(options)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="robench",
        description="How robust is the network you actually ship?",
        epilog="robench run defense=adversarial_training attack=pgd    starts here",
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.set_defaults(command=_version_or_help(parser))
    commands = parser.add_subparsers(metavar="COMMAND")

    commands.add_parser("run", help="one run, or a sweep with -m", add_help=False)

    plugins = commands.add_parser("plugins", help="what is installed, with its options")
    plugins.add_argument("kind", nargs="?", help="dataset, model, defense, ...")
    plugins.set_defaults(command=_plugins)

    show = commands.add_parser("show", help="print one record")
    show.add_argument("record", help="its folder or the beginning of its id")
    show.add_argument("--json", action="store_true", help="the record as it is")
    show.set_defaults(command=_show)

    compare = commands.add_parser("compare", help="two records, paired on the same images")
    compare.add_argument("first")
    compare.add_argument("second")
    compare.set_defaults(command=_compare)

    verify = commands.add_parser("verify", help="judge a record's saved examples again")
    verify.add_argument("record")
    verify.set_defaults(command=_verify)

    audit = commands.add_parser(
        "audit", help="the full audit of a stored run, or of your own model"
    )
    audit.add_argument("record", nargs="?", help="its folder or the beginning of its id")
    audit.add_argument("--model", metavar="MODULE:FUNCTION", help="your own trained network")
    audit.add_argument("overrides", nargs="*", help="with --model: dataset=mnist attack=pgd ...")
    audit.set_defaults(command=_audit)

    study = commands.add_parser("study", help="records beside a paper's numbers and claims")
    study.add_argument("name", help="its preset's name: song2021_mnist, ...")
    study.add_argument("--records", type=Path, help="the folder that holds them")
    study.set_defaults(command=_study)

    page = commands.add_parser("leaderboard", help="records to a page that opens from disk")
    page.add_argument("records", nargs="+", type=Path, help="folders that hold records")
    page.add_argument("--out", type=Path, help="where the page goes")
    page.add_argument("--check", action="store_true", help="check the records, make no page")
    page.set_defaults(command=_leaderboard)

    new = commands.add_parser("new-plugin", help="write a plugin package to start from")
    new.add_argument("name", help="robench-mine, for instance")
    new.add_argument("--kinds", nargs="+", metavar="KIND", help="attack, metric, ...")
    new.add_argument("--out", type=Path, default=Path(), help="where the package goes")
    new.set_defaults(command=_new_plugin)

    ship = commands.add_parser("export", help="the deployed model as a file to ship")
    ship.add_argument("record", help="its folder or the beginning of its id")
    ship.add_argument("--format", choices=("c", "onnx"), default="c")
    ship.add_argument("--out", type=Path, default=Path(), help="where the file goes")
    ship.set_defaults(command=_export)

    cache = commands.add_parser("cache", help="list or prune cached steps")
    cache.add_argument("action", choices=("list", "prune"))
    cache.add_argument(
        "--days", type=float, default=0.0, help="prune what was not read for so long"
    )
    cache.set_defaults(command=_cache)
    return parser


def _version_or_help(parser: argparse.ArgumentParser) -> object:
    def command(options: argparse.Namespace) -> int:
        if options.version:
            from importlib.metadata import version

            print(f"robench {version('robench')}")  # noqa: T201
        else:
            parser.print_help()
        return 0

    return command


def _run(arguments: list[str]) -> int:
    _report_broken()
    if {"--help", "-h"} & set(arguments):
        from robench.help import print_run_help

        print_run_help()
        return 0
    from robench.app import main as run

    return run(arguments)


def _plugins(options: argparse.Namespace) -> int:
    from robench.help import print_plugins

    _report_broken()
    print_plugins(options.kind)
    return 0


def _show(options: argparse.Namespace) -> int:
    from robench.results import find, read
    from robench.show import print_record

    folder = find(options.record, _results())
    record = read(folder)
    if options.json:
        print(record.model_dump_json(indent=1))  # noqa: T201
    else:
        print_record(record, folder)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from robench.compare import compare
    from robench.results import find
    from robench.show import print_comparison

    first, second = (find(name, _results()) for name in (options.first, options.second))
    print_comparison(compare(first, second))
    return 0


def _audit(options: argparse.Namespace) -> int:
    if options.model:
        given = [options.record] * bool(options.record) + options.overrides
        own = [f"model.python.spec={options.model}", "model.python.pretrained=true"]
        chosen = ["model=python", *own, "audit=full"]
        return _run(chosen + given)
    if not options.record or options.overrides:
        raise UserError("expected one RECORD, or --model MODULE:FUNCTION; see robench audit --help")
    from robench.audit.again import audit_record
    from robench.config import Places
    from robench.results import find
    from robench.show import print_record

    _report_broken()
    print_record(*audit_record(find(options.record, _results()), Places.from_environment()))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from robench.config import Places
    from robench.results import find
    from robench.show import print_verification
    from robench.verify import verify

    _report_broken()
    checks = verify(find(options.record, _results()), Places.from_environment())
    print_verification(checks)
    return 0 if all(check.equal for check in checks) else 1


def _leaderboard(options: argparse.Namespace) -> int:
    from robench.leaderboard import command

    return command(options.records, options.out, check=options.check)


def _study(options: argparse.Namespace) -> int:
    from robench.study.cells import Runs
    from robench.study.report import report
    from robench.study.studies import find

    study = find(options.name)
    print(report(study, Runs(options.records or _results(), study.systems, study.columns)))  # noqa: T201
    return 0


def _new_plugin(options: argparse.Namespace) -> int:
    from robench.scaffold import USUAL, new_plugin

    folder = new_plugin(options.name, options.kinds or USUAL, options.out)
    print(f"{folder}: pip install -e '{folder}[test]', then pytest {folder}")  # noqa: T201
    return 0


def _export(options: argparse.Namespace) -> int:
    from robench.config import Places
    from robench.export import export
    from robench.results import find
    from robench.show import print_export

    _report_broken()
    record = find(options.record, _results())
    print_export(export(record, options.format, options.out, Places.from_environment()))
    return 0


def _cache(options: argparse.Namespace) -> int:
    from robench.cache import Cache
    from robench.config import Places
    from robench.show import print_cache

    cache = Cache(Places.from_environment().cache)
    if options.action == "prune":
        freed = cache.prune(options.days * 86_400)
        print(f"freed {freed / 2**20:,.1f} MiB")  # noqa: T201
    else:
        print_cache(cache)
    return 0


def _results() -> Path:
    from robench.config import Places

    return Places.from_environment().results


def _report_broken() -> None:
    from robench.plugins import registry

    for broken in registry().broken:
        print(f"robench: {broken}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
