"""The spine stays one way: the core imports no plugin, a plugin only robench; help stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import robench

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())


def imported(path: Path) -> set[str]:
    """Top-level packages that a module imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names


def test_the_core_imports_no_plugin() -> None:
    for path in (ROOT / "robench").rglob("*.py"):
        assert not imported(path) & set(PLUGINS), path


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_imports_only_robench_and_foreign_packages(plugin: str) -> None:
    for path in (ROOT / "plugins" / plugin).rglob("*.py"):
        assert not imported(path) & (set(PLUGINS) - {plugin}), path


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["plugins"], ["--version"]])
def test_help_loads_no_heavy_package(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom robench.cli.main import main\n"
        f"try:\n    status = main({arguments!r})\n"
        "except SystemExit as end:\n    status = end.code\n"
        "heavy = {'torch', 'torchvision', 'art', 'sklearn', 'pandas', 'scipy', 'hydra'}\n"
        "assert not status, status\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_loads_no_pandas() -> None:
    script = "import sys, robench.run.pipeline\nassert 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_public_names_are_all_there_and_sorted() -> None:
    assert robench.__all__ == sorted(robench.__all__)
    for name in robench.__all__:
        assert getattr(robench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = robench.nothing  # type: ignore[attr-defined]
