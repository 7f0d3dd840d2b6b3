"""`robench new-plugin` writes packages that work as they are."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("class", "does not take for a name"),
        ("robench-import", "does not take for a name"),
        ("robench-1x", "does not take for a name"),
        ("robench-pgd", "attack 'pgd', which robench registers"),
        ("pgd", "attack 'pgd', which robench registers"),
        ("torch", "'torch', which is installed"),
        ("numpy", "'numpy', which is installed"),
        ("robench", "'robench', which is installed"),
        ("json", "Python has a 'json'"),
        ("robench-attacks", "Python has a 'robench_attacks'"),
        ("a" * 65, "at most 64 letters, got 65"),
        ("a" * 300, "at most 64 letters, got 300"),
    ],
)
def test_names_that_cannot_work_or_are_taken_are_refused_in_one_line(
    name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-plugin", name, "--kinds", "attack", "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_kind_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected each kind once, got attack 2 times"):
        new_plugin("robench-mine", ["attack", "attack"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_package_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_text

    def full(path: Path, *given: Any, **more: Any) -> int:
        if path.name == "attack.py":
            raise OSError("no space left")
        return whole(path, *given, **more)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="no space left"):
        new_plugin("robench-mine", ["attack"], tmp_path)
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
