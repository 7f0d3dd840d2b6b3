"""`robench new-plugin` writes packages that work as they are."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from robench.base.errors import UserError
from robench.cli.main import main
from robench.plugin.components import KINDS
from robench.plugin.registry import discover
from robench.scaffold import TEMPLATES, new_plugin


def test_the_package_registers_a_component_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_plugin("robench-fresh", list(KINDS), tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    import robench_fresh

    found = discover([("robench_fresh", "robench-fresh", "0.1.0", lambda: robench_fresh)])
    assert found.broken == []
    assert {kind for kind, choices in found.choices.items() if "fresh" in choices} == set(KINDS)
    about = tomllib.loads((folder / "pyproject.toml").read_text())
    assert about["project"]["entry-points"]["robench"] == {"robench_fresh": "robench_fresh"}


def test_a_template_for_every_kind_and_none_for_another() -> None:
    templates = {path.name.removesuffix(".py.jinja") for path in TEMPLATES.glob("*.py.jinja")}
    assert templates - {"init", "tests"} == {*KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_quotes_a_command_that_names_the_component(kind: str, tmp_path: Path) -> None:
    readme = (new_plugin("robench-mine", [kind], tmp_path) / "README.md").read_text()
    commands = [line.strip() for line in readme.splitlines() if "robench run" in line]
    assert len(commands) == 1
    assert re.search(rf"{kind}s?=\S*mine", commands[0])


@pytest.mark.parametrize("name", ["Robench", "../up", "a b", "x;y", "", "-a", "a--b"])
def test_bad_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a name"):
        new_plugin(name, ["attack"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_kinds_and_existing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected kinds among"):
        new_plugin("robench-mine", ["attck"], tmp_path)
    new_plugin("robench-mine", ["attack"], tmp_path)
    with pytest.raises(UserError, match="expected no folder"):
        new_plugin("robench-mine", ["attack"], tmp_path)


def test_the_command_says_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-plugin", "robench-mine", "--out", str(tmp_path)]) == 0
    assert "pip install -e" in capsys.readouterr().out
    assert (tmp_path / "robench-mine/tests/test_robench_mine.py").is_file()


@pytest.mark.slow
def test_the_package_passes_its_own_tests_unchanged(tmp_path: Path) -> None:
    folder = new_plugin("robench-mine", list(KINDS), tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(
        command, cwd=folder, env=_with(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _with(folder: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(folder)}
