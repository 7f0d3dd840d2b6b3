"""What is written by hand is true of the code: names, signatures, options, commands and links."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import robench
from robench.cli.main import main
from robench.core.record import Record
from robench.plugin import hooks
from robench.plugin.components import KINDS
from robench.plugin.options import options
from robench.plugin.registry import discover, registry
from tests.docs.pages import (
    DOCS,
    PAGES,
    ROOT,
    TEXTS,
    Block,
    anchors,
    blocks,
    code_spans,
    commands,
    filled,
    generated,
    table,
    written,
)

PUBLIC = ("search", "integer", "smoothing", "graph", "shipped", "studies", "testing")


def navigation(part: object) -> list[str]:
    """Every page of mkdocs.yml's menu."""
    if isinstance(part, str):
        return [part]
    inner = part.values() if isinstance(part, dict) else part
    return [page for value in inner for page in navigation(value)]  # type: ignore[attr-defined]


def test_every_page_is_in_the_menu_once() -> None:
    menu = navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(menu) == PAGES


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.is_file(), target
        assert not anchor or anchor in anchors(there), target


def test_every_generated_part_stands_on_a_page_and_nothing_else_is_asked_for() -> None:
    asked = [name for page in PAGES for name in re.findall("generated: (.+) -->", written(page))]
    assert sorted(asked) == sorted(generated.PARTS)
    for page in PAGES:
        assert "<!-- generated" not in filled(DOCS / page)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference/api/index.html").stat().st_size > 50_000


# Commands and options

COMMANDS = commands()
READERS_OWN = ("mine", "jpeg", "...", "hydra/launcher=slurm", "hydra/launcher=ray")
"""What the reader makes, fills in or installs: it can be parsed, not composed."""


def composable(arguments: list[str]) -> bool:
    text = " ".join(arguments)
    return arguments[:1] == ["run"] and not any(word in text for word in READERS_OWN)


def test_there_are_commands_to_test() -> None:
    assert len(COMMANDS) > 50
    assert sum(composable(arguments) for _, arguments in COMMANDS) > 30


@pytest.mark.parametrize(
    ("where", "arguments"), [c for c in COMMANDS if c[1][0] != "run"], ids=lambda value: str(value)
)
def test_a_quoted_command_is_one(where: str, arguments: list[str]) -> None:
    for choice in _alternatives(arguments):
        generated.parser().parse_args(choice)


def _alternatives(arguments: list[str]) -> list[list[str]]:
    """`cache list | prune` and `new-plugin NAME ...` stand for commands without the marks."""
    plain = [word for word in arguments if not word.startswith("[") and word != "..."]
    if "|" not in plain:
        return [plain]
    at = plain.index("|")
    return [plain[:at], [*plain[: at - 1], *plain[at + 1 :]]]


@pytest.mark.parametrize(
    "text", sorted({" ".join(map(shlex.quote, c)) for _, c in COMMANDS if composable(c)})
)
def test_a_quoted_run_composes(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--dry-run` builds every component it names; of a preset's many jobs Hydra composes one.

    Data and packages that the reader has, and this machine may lack, are left alone.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("robench.run.plan._is_there", lambda package: True)
    monkeypatch.setattr("robench.run.stages.Stages.outline", lambda steps: steps.data_at_hand)
    kept, arguments = sys.argv, shlex.split(text)
    many = any(word.startswith(("experiment=", "sweep=")) for word in arguments)
    extra = ["--cfg", "job"] if many else ["--dry-run"]
    try:
        assert main([*arguments, *(extra if "--help" not in arguments else [])]) == 0
    finally:
        sys.argv = kept
    assert not list(tmp_path.rglob("record.json"))


def test_a_quoted_command_of_make_is_one() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    texts = [block.text for path in TEXTS for block in blocks(path)]
    quoted = set(re.findall(r"^make ([\w-]+)", "\n".join(texts), re.MULTILINE))
    quoted |= {
        span.split()[1] for path in TEXTS for span in code_spans(path) if span.startswith("make ")
    }
    assert quoted >= {"check", "test", "demo"}
    assert quoted <= set(phony[1].split())


def test_quoted_options_exist() -> None:
    """`kind.choice.option` in backticks, with or without a value."""
    choices = registry().choices
    seen = 0
    for path in TEXTS:
        for span in code_spans(path):
            match = re.match(r"(\w+)\.(\w+)\.(\w+)", span)
            if match and match[1] in choices and match[2] not in READERS_OWN:
                choice = choices[match[1]][match[2]]
                assert match[3] in {o.name for o in options(choice.component)}, (path, span)
                seen += 1
            match = re.fullmatch(r"(\w+)=(\w+)", span)
            if match and match[1] in choices and match[2] not in READERS_OWN:
                assert match[2] in choices[match[1]], (path, span)
                seen += 1
    assert seen > 5


# Python

AUTHORS = [
    block
    for path in TEXTS
    for block in blocks(path)
    if block.language == "python" and path.name != "add-a-check.md"  # a walk through the core
]


@pytest.mark.parametrize("block", AUTHORS, ids=lambda block: block.path.name)
def test_code_uses_public_names_alone(block: Block) -> None:
    packages = {f"robench.{name}": import_module(f"robench.{name}") for name in PUBLIC}
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert alias.name in {"robench", *packages} or alias.name[:7] != "robench"
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("robench."):
            assert {alias.name for alias in node.names} <= set(packages[str(node.module)].__all__)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "robench":
            assert node.attr in {*robench.__all__, *PUBLIC, "results"}, node.attr
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "robench.results":
            assert callable(getattr(robench.results, node.attr))


def test_the_guide_gives_each_kind_with_what_its_author_implements() -> None:
    rows = {
        row[0].replace("data set", "dataset"): row[1:]
        for row in table("how-to/write-a-plugin.md", "| kind |")
    }
    assert set(rows) == set(KINDS)
    for kind, base in KINDS.items():
        assert hasattr(import_module("robench.testing"), f"{base.__name__}Contract")
        named = re.findall(r"(\w+)(?:\(([^)]*)\))?(?: -> (\S+?))?`", f"{rows[kind][0]}")
        implement = {name: arguments for name, arguments, _ in named if name}
        assert set(base.__abstractmethods__) <= set(implement), kind
        for name, arguments in implement.items():
            has = [*inspect.signature(getattr(base, name)).parameters][1:]
            assert not arguments or arguments.split(", ") == has, (kind, name, has)


def test_every_hook_is_called_with_the_arguments_of_the_reference() -> None:
    specs = {
        name: inspect.signature(function)
        for name, function in inspect.getmembers(hooks, inspect.isfunction)
        if hasattr(function, "robench_spec")
    }
    called: list[str] = []
    plugin = ModuleType("a_plugin")
    for name, signature in specs.items():
        code = f"def {name}({', '.join(signature.parameters)}): called.append({name!r})"
        exec(code, {"called": called}, vars(plugin))
        setattr(plugin, name, robench.hookimpl(getattr(plugin, name)))
    known = discover([("a_plugin", "a-plugin", "1", lambda: plugin)])
    assert known.broken == []
    for _, make in known.studies:
        make()
    for _, tracker in known.trackers:
        tracker(Record.model_construct(), Path())
    assert sorted(called) == sorted(specs)
    page = filled(DOCS / "reference/hooks.md")
    assert set(re.findall(r"^## (robench_\w+)$", page, re.MULTILINE)) == set(specs)


def test_the_public_packages_are_those_that_plugins_may_import() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (public,) = [c for c in contracts["contracts"] if c["id"] == "public"]
    open_ = {f"robench.{name}" for name in PUBLIC}
    hidden = {module for module in public["forbidden_modules"] if not module.endswith(".*")}
    assert {m.removesuffix(".*") for m in public["forbidden_modules"]} - hidden == open_
    for page in ("reference/api.md", "explanation/architecture.md"):
        assert open_ <= code_spans(DOCS / page), page
    every = {f"robench.{path.parent.name}" for path in (ROOT / "robench").glob("*/__init__.py")}
    assert hidden | open_ == every


def test_the_audits_findings_are_all_in_its_table() -> None:
    import torch

    from robench.audit.checks import CHECKS
    from robench.audit.trial import SystemTrial
    from robench.testing import tiny_data, tiny_network

    rows = " ".join(row[0] for row in table("explanation/audit.md", "| check |"))
    documented = set(re.findall(r"`(\w+)`", rows))
    model, test = tiny_network(), tiny_data().test.take(torch.arange(20))
    system = robench.System(robench.FloatDeployed(model), model)
    found: set[str] = set()
    for level in CHECKS:
        threat = robench.Threat("linf", 0.1)
        trial = SystemTrial(system, test.float_images(), test.labels, threat, 0, {})
        found |= {finding.check for check in CHECKS[level] for finding in check.look(trial)}
    assert len(found) > 12
    assert found <= documented, found - documented


def test_what_a_page_does_with_a_record_works_on_its_own_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from robench.testing import tiny_data, tiny_network

    monkeypatch.chdir(tmp_path)
    test = tiny_data().test.take(slice(0, 40))
    images, labels = test.float_images(), test.labels
    known: dict[str, object] = {"network": tiny_network(), "images": images, "labels": labels}
    codes = [b.text for b in blocks(DOCS / "how-to/own-network.md") if b.language == "python"]
    for code in [codes[0], *(one for one in codes if one.startswith("record  #"))]:
        exec(code, known)
    assert "record.find(" in codes[1]
