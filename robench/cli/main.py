"""The `robench` command: its subcommands and exit statuses."""

from __future__ import annotations

import argparse
import codecs
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from robench.base.errors import DEBUG, UserError, debugging, refusal_of
from robench.base.machine import (
    calm_threads,
    leave_collector,
    pause_collector,
    resume_collector,
)
from robench.base.text import one_line, reason, shortened, suggestion

COMMANDS = (
    "run",
    "sweep",
    "plugins",
    "list",
    "show",
    "compare",
    "gate",
    "verify",
    "challenge",
    "audit",
    "judge",
    "study",
    "leaderboard",
    "share",
    "new_plugin",
    "export",
    "cache",
)
"""The modules of the subcommands, in the order of the help."""


LONG = re.compile(r"[^\s'\"]{500,}")
"""A word that is shortened where it is quoted."""
ERRORS = {
    r"the following arguments are required: (?P<names>.*)": "expected {names}, got nothing",
    r"argument (?P<name>\S+): invalid choice: '(?P<got>.*)' \(choose from (?P<known>.*)\)": (
        "expected {name} to be one of {known}, got {got!r}"
    ),
    r"argument (?P<name>\S+): invalid (?:float|int) value: '(?P<got>.*)'": (
        "expected a number for {name}, got {got!r}"
    ),
    r"argument (?P<name>\S+): expected one argument": "expected a value after {name}, got nothing",
    r"argument (?P<name>\S+): expected at least one argument": (
        "expected a value after {name}, got nothing"
    ),
    r"argument (?P<name>\S+): not allowed with argument (?P<got>\S+)": (
        "expected {got} or {name}, got both"
    ),
    r"unrecognized arguments: (?P<got>.*)": "expected no further arguments, got {got}",
}
"""What argparse says, as a pattern, and our words for it."""


class Command(Protocol):
    """What the module of a subcommand has.

    Every use of robench imports all of them, so they import what is heavy inside `run`.
    """

    HELP: str
    """One line for the list of commands."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments to its parser."""

    def run(self, options: argparse.Namespace) -> int:
        """Do what the arguments say and print it; returns the exit status."""


IN_WORDS = {"±": "+-", "×": "x", "ε": "eps", "∞": "inf", "→": "->", "…": "...", "–": "-", "−": "-"}
"""Signs of what commands print, and what is written where there is no such sign."""


def _write_anywhere() -> None:
    """Write in other words what a terminal of few characters has no sign for."""
    codecs.register_error("in_words", _in_words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="in_words")


def _in_words(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(IN_WORDS.get(sign, ascii(sign)[1:-1]) for sign in missing), error.end


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 2 bad input, 1 a fault of robench."""
    calm_threads()
    pause_collector()
    _write_anywhere()
    try:
        options = _parse(list(sys.argv[1:] if argv is None else argv))
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        if debugging():
            raise
        complain(error)
        return 2
    except KeyboardInterrupt as error:
        where = f": training {error}" if str(error) else ""
        complain(f"interrupted; the same command goes on after the last finished step{where}")
        return 130
    except BrokenPipeError:
        # The reader closed early (`| head`); python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debugging():
            raise
        if refused := refusal_of(error):
            complain(
                f"expected to read and write files, got: {refused}; free some space, or name "
                "folders that can be used"
            )
            return 2
        fault = f"internal error, {reason(error)}"
        complain(f"{fault}; run again with {DEBUG}=1 for the traceback and report it")
        return 1
    finally:
        if argv is None:
            leave_collector()
        else:
            resume_collector()


def complain(what: object) -> None:
    """Print one line on standard error; what it quotes moves no terminal."""
    said = LONG.sub(lambda found: shortened(found[0]), one_line(what))
    print(f"robench: {said}", file=sys.stderr)


class OneLine(argparse.ArgumentParser):
    """A parser whose errors are one line: what was expected, what was got, the nearest name."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError with argparse's message in our words."""
        raise UserError(f"{self._said(message)}; see {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """As argparse's, with the help that it ends written while a closed pipe is still ours."""
        sys.stdout.flush()
        super().exit(status, message)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As argparse's, but a command says itself what it does not know: its options are near."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest

    def _said(self, message: str) -> str:
        for pattern, words in ERRORS.items():
            if found := re.fullmatch(pattern, message, re.DOTALL):
                parts = found.groupdict()
                known = re.split(r"[\s,'\"]+", parts.get("known") or "")
                got = parts.get("got", "")
                if got.startswith("-") and "known" not in parts:
                    got, known = got.split()[0], list(self._option_string_actions)
                return words.format(**parts) + suggestion(got, filter(None, known))
        return one_line(message)


def parser() -> argparse.ArgumentParser:
    """The parser of all subcommands; its result's `run` does what was asked."""
    whole = OneLine(
        prog="robench",
        description="How robust is the network you actually ship?",
        epilog="robench run defense=adversarial_training attack=pgd    starts here",
    )
    whole.add_argument("--version", action="store_true", help="print the version")
    whole.set_defaults(run=lambda options: _version_or_help(whole, options))
    added = whole.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        command = _command(name)
        own = added.add_parser(name.replace("_", "-"), help=command.HELP)
        command.add(own)
        own.set_defaults(run=command.run)
    return whole


def _parse(arguments: list[str]) -> argparse.Namespace:
    # Hydra reads everything after `run` itself: argparse would take its flags for unknown ones.
    if arguments[:1] == ["run"]:
        return argparse.Namespace(run=_command("run").run, arguments=arguments[1:])
    return parser().parse_args(arguments)


def _command(name: str) -> Command:
    return cast(Command, import_module(f"robench.cli.{name}"))


def _version_or_help(whole: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.version:
        from importlib.metadata import version

        print(f"robench {version('robench')}")
    else:
        whole.print_help()
    return 0


def report_broken() -> None:
    """Say on standard error which installed plugins are left out, and why."""
    from robench.plugin.registry import registry

    for broken in registry().broken:
        complain(broken)
