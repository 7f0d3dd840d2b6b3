"""The documentation says what the code says: every hook, component, name and command is in it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import robench
from robench.plugin import hooks as hookspecs
from robench.plugin.components import KINDS
from robench.plugin.registry import registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def _hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generated = _hooks()


def text(page: str) -> str:
    """A page as mkdocs sees it, its generated parts filled in."""
    written = (DOCS / page).read_text(encoding="utf-8")
    filled: str = generated.on_page_markdown(written)
    return filled


def test_every_component_and_option_is_documented() -> None:
    page = text("reference/components.md")
    for kind, choices in registry().choices.items():
        for name, choice in choices.items():
            if choice.distribution == "robench":
                assert f"{{ #{kind}.{name} }}" in page
                assert (inspect.getdoc(choice.cls) or "?") in page


def test_every_hook_is_documented_with_its_arguments() -> None:
    page = text("reference/hooks.md")
    found = [
        n for n, f in inspect.getmembers(hookspecs, inspect.isfunction) if n.startswith("robench_")
    ]
    assert found
    for name in found:
        assert f"def {name}{inspect.signature(getattr(hookspecs, name))}" in page


def test_every_hook_is_tested() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction):
        if hasattr(function, "robench_spec"):
            assert tests.count(name) > 0, name


def test_every_name_a_plugin_may_import_is_documented() -> None:
    page = text("reference/api.md")
    for name in set(robench.__all__) - {"API_VERSION"}:
        assert re.search(rf"^::: robench\.[\w.]+\.{name}$", page, re.MULTILINE), name
    assert "API_VERSION" in page


def test_every_kind_has_its_contract_in_the_guide() -> None:
    guide = text("how-to/write-a-plugin.md")
    for kind, base in KINDS.items():
        assert f"| {kind.replace('dataset', 'data set')} |" in guide
        assert hasattr(importlib.import_module("robench.testing"), f"{base.__name__}Contract")


def test_every_command_is_documented() -> None:
    page = text("reference/commands.md")
    done = subprocess.run(
        [sys.executable, "-m", "robench", "--help"], capture_output=True, text=True, check=True
    )
    names = re.findall(r"^    ([a-z-]+) ", done.stdout, re.MULTILINE)
    assert len(names) >= 8
    for name in names:
        assert f"robench {name}" in page


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference/api/index.html").stat().st_size > 50_000
