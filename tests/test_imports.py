"""The spine stays one way: the core imports no plugin, a plugin only robench; help stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import robench
from robench.plugin.components import KINDS
from robench.scaffold import new_plugin

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if path.is_dir())

PUBLIC = ["robench", *(f"robench.{n}" for n in ("integer", "search", "smoothing", "studies"))]
PUBLIC += ["robench.testing", "robench.graph", "robench.shipped"]
"""All that a plugin may import from."""


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


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def public(module: str) -> set[str]:
    return set(import_module(module).__all__)


def hidden(path: Path) -> list[str]:
    """What a module imports of robench, or reads from its root, that is not public."""
    found, root = [], {"robench"}
    packages = {module.partition(".")[2] for module in PUBLIC}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias for alias in node.names if alias.name.partition(".")[0] == "robench"]
            found += [alias.name for alias in names if alias.name not in PUBLIC]
            root |= {alias.asname for alias in names if alias.name == "robench" and alias.asname}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "robench":
            module = str(node.module)
            known = public(module) if module in PUBLIC else set()
            known |= packages if module == "robench" else set()
            found += [f"{module}.{alias.name}" for alias in node.names if alias.name not in known]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            outside = node.value.id in root and node.attr not in public("robench") | packages
            found += [f"robench.{node.attr}"] if outside else []
    return found


@pytest.mark.parametrize("folder", [*(f"plugins/{name}" for name in PLUGINS), "examples"])
def test_a_plugin_uses_public_names_alone(folder: str) -> None:
    files = sources(ROOT / folder)
    assert files
    found = {str(path): names for path in files if (names := hidden(path))}
    assert found == {}


def test_a_new_plugin_uses_public_names_alone(tmp_path: Path) -> None:
    files = sources(new_plugin("robench-mine", list(KINDS), tmp_path))
    assert len(files) > len(KINDS)
    found = {str(path): names for path in files if (names := hidden(path))}
    assert found == {}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("from robench.core.data import Split", "robench.core.data.Split"),
        ("    from robench.smoothing.noise import Noise", "robench.smoothing.noise.Noise"),
        ("from robench.search import searching, _mean", "robench.search._mean"),
        ("from robench import nothing", "robench.nothing"),
        ("import robench.run.config", "robench.run.config"),
        ("import robench\n    robench.run.config", "robench.run"),
    ],
)
def test_hidden_names_are_seen(tmp_path: Path, line: str, name: str) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(f"def f():\n    {line.strip()}\n", encoding="utf-8")
    assert hidden(path) == [name]


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_there(module: str) -> None:
    names = import_module(module).__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(import_module(module), name) is not None


def test_the_root_says_the_same_to_type_checkers() -> None:
    tree = ast.parse((ROOT / "robench/__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.asname: f"robench.{robench._HOME[str(alias.asname)]}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(typed) == robench.__all__
    homes = {a.asname: n.module for n in block.body for a in n.names}  # type: ignore[attr-defined]
    assert homes == typed


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


def test_the_page_loads_no_torch() -> None:
    script = (
        "import sys, robench.leaderboard.build, robench.studies.report\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_loads_no_pandas() -> None:
    script = "import sys, robench.run.pipeline\nassert 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_public_names_are_sorted_and_others_refused() -> None:
    assert robench.__all__ == sorted(robench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = robench.nothing  # type: ignore[attr-defined]


LAZY = {
    "robench/graph/__init__.py": "each format is parsed with a package of its own",
    "robench/leaderboard/check.py": "the checks of form and hashes need no torch",
    "robench/leaderboard/table/headlines.py": "a page without certificates needs no radii",
    "robench/plugin/components.py": "registration loads no torch",
    "robench/records/store.py": "reading a record loads no torch",
    "robench/records/support/attacked.py": "records without certificates need no examples",
    "robench/records/support/votes.py": "records without certificates need no tables of radii",
    "robench/run/again.py": "a known command loads no Hydra",
    "robench/run/certificates.py": "a run without certificates loads no smoothing",
    "robench/run/evaluate.py": "importing robench.evaluate loads no torch",
    "robench/run/plan.py": "a plan that only composes loads no attacks",
    "robench/run/stages.py": "a cached run of a float network needs no C emitter",
    "robench/studies/measures.py": "a study without certificates needs no tables of radii",
}
"""Modules outside robench/cli that import others of robench inside functions, and what it saves."""


def test_lazy_imports_of_the_core_are_listed_with_their_reason() -> None:
    found = set()
    for path in sorted((ROOT / "robench").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = (
            node
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef)
            for node in ast.walk(function)
        )
        lazy = [n for n in inside if isinstance(n, ast.ImportFrom)]
        if any((node.module or "").startswith("robench") for node in lazy):
            found.add(str(path.relative_to(ROOT)))
    assert {name for name in found if not name.startswith("robench/cli/")} == set(LAZY)
