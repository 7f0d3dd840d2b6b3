"""The `robench` command: its arguments and exit statuses."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from robench.base.errors import UserError
from robench.base.machine import calm_threads
from robench.cli import commands

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
        return commands.run(arguments[1:])
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
    added = parser.add_subparsers(metavar="COMMAND")

    added.add_parser("run", help="one run, or a sweep with -m", add_help=False)

    plugins = added.add_parser("plugins", help="what is installed, with its options")
    plugins.add_argument("kind", nargs="?", help="dataset, model, defense, ...")
    plugins.set_defaults(command=commands.plugins)

    show = added.add_parser("show", help="print one record")
    show.add_argument("record", help="its folder or the beginning of its id")
    show.add_argument("--json", action="store_true", help="the record as it is")
    show.set_defaults(command=commands.show)

    compare = added.add_parser("compare", help="two records, paired on the same images")
    compare.add_argument("first")
    compare.add_argument("second")
    compare.set_defaults(command=commands.compare)

    verify = added.add_parser("verify", help="judge a record's saved examples again")
    verify.add_argument("record")
    verify.set_defaults(command=commands.verify)

    audit = added.add_parser("audit", help="the full audit of a stored run, or of your own model")
    audit.add_argument("record", nargs="?", help="its folder or the beginning of its id")
    audit.add_argument("--model", metavar="MODULE:FUNCTION", help="your own trained network")
    audit.add_argument("overrides", nargs="*", help="with --model: dataset=mnist attack=pgd ...")
    audit.set_defaults(command=commands.audit)

    study = added.add_parser("study", help="records beside a paper's numbers and claims")
    study.add_argument("name", help="its preset's name: song2021_mnist, ...")
    study.add_argument("--records", type=Path, help="the folder that holds them")
    study.set_defaults(command=commands.study)

    page = added.add_parser("leaderboard", help="records to a page that opens from disk")
    page.add_argument("records", nargs="+", type=Path, help="folders that hold records")
    page.add_argument("--out", type=Path, help="where the page goes")
    page.add_argument("--check", action="store_true", help="check the records, make no page")
    page.set_defaults(command=commands.leaderboard)

    new = added.add_parser("new-plugin", help="write a plugin package to start from")
    new.add_argument("name", help="robench-mine, for instance")
    new.add_argument("--kinds", nargs="+", metavar="KIND", help="attack, metric, ...")
    new.add_argument("--out", type=Path, default=Path(), help="where the package goes")
    new.set_defaults(command=commands.new_plugin)

    ship = added.add_parser("export", help="the deployed model as a file to ship")
    ship.add_argument("record", help="its folder or the beginning of its id")
    ship.add_argument("--format", choices=("c", "onnx"), default="c")
    ship.add_argument("--out", type=Path, default=Path(), help="where the file goes")
    ship.set_defaults(command=commands.export)

    cache = added.add_parser("cache", help="list or prune cached steps")
    cache.add_argument("action", choices=("list", "prune"))
    cache.add_argument(
        "--days", type=float, default=0.0, help="prune what was not read for so long"
    )
    cache.set_defaults(command=commands.cache)
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


if __name__ == "__main__":
    sys.exit(main())
