"""What a command costs before it does anything: imports only when needed, the collector at rest."""

from __future__ import annotations

import argparse
import ast
import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from robench.base.errors import UserError
from robench.base.machine import pause_collector, resume_collector
from robench.cli import main as command_line
from robench.run import pipeline
from tests.cli.command import FAST, command

FOLDER = Path(command_line.__file__).parent

LAZY = {
    *command_line.COMMANDS,
    "hydra_app",  # a plan and bad input load no torch
    "jobs",  # the stages of a job load torch
    "launchers",  # submitit and Ray, for who has them
    "main",  # importlib.metadata, for --version alone
}
"""The modules of robench.cli that import inside functions, so that help answers at once."""


def lazy_imports(path: Path) -> list[int]:
    """Lines of the imports inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = (
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    )
    return [node.lineno for node in inside if isinstance(node, ast.Import | ast.ImportFrom)]


def test_only_the_listed_modules_import_inside_functions() -> None:
    lazy = {path.stem for path in FOLDER.glob("*.py") if lazy_imports(path)}
    assert lazy == LAZY


@pytest.fixture
def running() -> Iterator[None]:
    """The collector on, before and after."""
    assert gc.isenabled()
    yield
    assert gc.isenabled()


@pytest.mark.usefixtures("running")
def test_the_collector_rests_until_a_command_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def run(options: argparse.Namespace) -> int:
        seen.append(gc.isenabled())
        raise UserError("it is on again after an error too")

    module = ModuleType("robench.cli.look")
    vars(module).update(HELP="look", add=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(command_line, "COMMANDS", ("look",))
    assert command(["look"], capsys)[0] == 2
    assert seen == [False]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]])
def test_the_collector_works_while_a_run_does(
    sweep: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []

    def run(*_: object) -> None:
        seen.append(gc.isenabled())
        raise UserError("seen enough")

    monkeypatch.setattr(pipeline, "run", run)
    assert command(["run", *sweep, *FAST], capsys)[0] == 2
    assert seen == [True] * max(1, len(sweep))


@pytest.mark.usefixtures("running")
def test_garbage_of_a_job_is_freed_before_the_next() -> None:
    """Objects are set aside once: what is made later is collected, though a job began again."""

    class Node:
        alive = 0

        def __init__(self) -> None:
            Node.alive += 1
            self.own = self

        def __del__(self) -> None:
            Node.alive -= 1

    resume_collector()
    Node()
    pause_collector()
    resume_collector()
    gc.collect()
    assert Node.alive == 0
