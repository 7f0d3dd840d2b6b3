"""The list of commands, and how each ends."""

from __future__ import annotations

import argparse
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

import pytest

import robench
from robench.base.errors import UserError
from robench.cli import main as command_line
from robench.cli.main import COMMANDS, Command, main, parser
from robench.plugin.registry import Choice, registry
from tests.cli.command import command

FOLDER = Path(command_line.__file__).parent


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_of_one_shape(name: str) -> None:
    module = import_module(f"robench.cli.{name}")
    assert isinstance(module.HELP, str)
    for function in ("add", "run"):
        expected = inspect.signature(getattr(Command, function)).parameters
        got = inspect.signature(getattr(module, function)).parameters
        assert list(got) == list(expected)[1:], function


def test_no_command_is_forgotten_in_the_list() -> None:
    shaped = {
        path.stem
        for path in FOLDER.glob("*.py")
        if re.search(r"^def add\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert shaped == set(COMMANDS)
    assert len(COMMANDS) == len(set(COMMANDS))


@pytest.fixture
def greeting(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A new command: one module, and one line in the list."""
    module = ModuleType("robench.cli.say_hello")
    source = (
        "HELP = 'greet'\n"
        "def add(parser):\n"
        "    parser.add_argument('whom')\n"
        "def run(options):\n"
        "    print(f'hello, {options.whom}')\n"
        "    return 0\n"
    )
    exec(source, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(command_line, "COMMANDS", (*COMMANDS, "say_hello"))
    return module


@pytest.mark.usefixtures("greeting")
def test_a_new_command_is_one_module_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["say-hello", "you"], capsys) == (0, "hello, you\n", "")
    assert re.search(r"^    say-hello +greet$", parser().format_help(), re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("expected a, got b"), 2, "robench: expected a, got b\n"),
        (
            KeyboardInterrupt(),
            130,
            "robench: interrupted; the same command goes on after the last finished step\n",
        ),
        (
            KeyboardInterrupt("from epoch 3, step 7 of 9"),
            130,
            "robench: interrupted; the same command goes on after the last finished step: "
            "training from epoch 3, step 7 of 9\n",
        ),
        (
            ValueError("two\nlines"),
            1,
            "robench: internal error, ValueError: two lines; run again with ROBENCH_DEBUG=1 for "
            "the traceback and report it\n",
        ),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException,
    status: int,
    words: str,
    greeting: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(options: argparse.Namespace) -> int:
        raise error

    greeting.run = fails  # type: ignore[attr-defined]
    assert command(["say-hello", "you"], capsys) == (status, "", words)
    if isinstance(error, Exception):
        monkeypatch.setenv("ROBENCH_DEBUG", "1")
        with pytest.raises(type(error)):
            main(["say-hello", "you"])


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command([], capsys)
    assert (status, out) == (0, parser().format_help())
    assert command(["--help"], capsys) == (0, out, "")
    version = metadata.version("robench")
    assert command(["--version"], capsys) == (0, f"robench {version}\n", "")


def test_bad_arguments_name_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = command(["nonsense"], capsys)
    assert status == 2
    assert all(name.replace("_", "-") in err for name in COMMANDS)


def test_as_a_module_it_shows_tracebacks_only_on_request(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "robench", "run", "attack=pgd", "attack.pgd.steps=0"]
    plain = subprocess.run(arguments, capture_output=True, text=True)
    assert (plain.returncode, plain.stderr.count("\n")) == (2, 1)
    debug = {**os.environ, "ROBENCH_DEBUG": "1"}
    traced = subprocess.run(arguments, capture_output=True, text=True, env=debug)
    assert "Traceback" in traced.stderr


def test_a_reader_that_closes_early_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "robench", "plugins", "attack"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_a_terminal_of_few_characters_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out
    assert "97.2±1.8 at ε → 0…, ü".encode("ascii", "in_words") == rb"97.2+-1.8 at eps -> 0..., \xfc"


@dataclass(frozen=True, kw_only=True)
class Looks(robench.Check):
    mode: str = "usual"
    """How."""

    def look(self, trial: robench.Trial) -> Iterable[robench.Finding]:
        return ()


def test_a_check_runs_at_its_defaults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = Choice("check", "looks", Looks, "plugin", "distribution", "1.0")
    monkeypatch.setitem(registry().choices["check"], "looks", choice)
    assert main(["run", "check.looks.mode=other"]) == 2
    said = capsys.readouterr().err
    assert "expected audit.checks=[looks], which runs at its defaults, got 'mode' of it" in said


@pytest.mark.parametrize(
    "what", [["list", "leaderboard/records"], ["plugins"], ["gate", "--help"]], ids=" ".join
)
def test_who_stops_reading_is_told_nothing(what: list[str]) -> None:
    """As `| head` does: by rich or by print, at once or when the last lines are written."""
    command = [sys.executable, "-m", "robench", *what]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
