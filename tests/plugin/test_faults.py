"""Whatever a plugin does at its import or in its hooks, it is named and the others work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import robench
from robench.base.errors import PluginError
from robench.plugin import registry as plugins
from robench.studies import catalogue
from tests.cli.command import command
from tests.plugin.test_registry import Still, found, registering


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def loading(error: BaseException) -> Any:
    def load() -> ModuleType:
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit(), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt: no message"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("bare"), "BaseException: bare"),
        (RecursionError("deep"), "RecursionError: deep"),
        (Wordless(), "Wordless: no words"),
        (ImportError("a\n\x1b]52;c;eA==\x07b"), r"ImportError: a \u001b]52;c;eA==\u0007b"),
        (ValueError("\u202etxt.exe \udcff"), r"ValueError: \u202etxt.exe \udcff"),
    ],
)
def test_what_ends_python_only_breaks_the_plugin(error: BaseException, words: str) -> None:
    good = registering(("attack", "ok", Still))
    known = plugins.discover(
        [("bad", "bad-dist", "2", loading(error)), ("g", "d", "1", lambda: good)]
    )
    (broken,) = known.broken
    assert words in str(broken)
    assert "'bad' of bad-dist 2" in str(broken)
    str(broken).encode()
    assert set(known.choices["attack"]) == {"ok"}


def test_hooks_may_not_end_python_either() -> None:
    @robench.hookimpl
    def robench_register(register: Any) -> None:
        register("attack", "first", Still)
        sys.exit(0)

    @robench.hookimpl
    def robench_config() -> str:
        raise KeyboardInterrupt

    first, second = ModuleType("a"), ModuleType("b")
    vars(first)["robench_register"] = robench_register
    vars(second)["robench_config"] = robench_config
    known = found(first, second, registering(("attack", "ok", Still)))
    assert [b.plugin for b in known.broken] == ["plugin0", "plugin1"]
    assert set(known.choices["attack"]) == {"ok"}


def test_ctrl_c_while_a_plugin_is_imported_interrupts() -> None:
    def load() -> ModuleType:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("never reached")

    # A shell's background jobs begin with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            plugins.discover([("slow", "d", "1", load)])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_plugin_of_a_name_costs_the_first_nothing() -> None:
    one, two = registering(("attack", "one", Still)), registering(("attack", "two", Still))
    known = plugins.discover([("same", "d1", "1", lambda: one), ("same", "d2", "1", lambda: two)])
    (broken,) = known.broken
    assert broken.distribution == "d2 1"
    assert set(known.choices["attack"]) == {"one"}


def test_presets_of_a_package_that_is_not_there_are_reported() -> None:
    for package in ("no_such_package.conf", "tests.no_conf", "", 3, "..", "os path"):

        @robench.hookimpl
        def robench_config(package: Any = package) -> Any:
            return package

        module = ModuleType("a_plugin")
        vars(module)["robench_config"] = robench_config
        known = found(module)
        assert known.config_packages == {}
        assert len(known.broken) == bool(package), package
        if package:
            assert "expected robench_config to name an installed package" in str(known.broken[0])


ASKS = """\
import robench
@robench.hookimpl
def robench_register(register):
    for name in robench.registry().choices["attack"]:
        register("attack", name + "_twice", robench.registry().get("attack", name).component)
"""
EXITS = "raise SystemExit(0)\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two faulty plugins, installed as a distribution."""
    about = tmp_path / "faulty-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[robench]\nasks = faulty_asks\nexits = faulty_exits\n")
    (tmp_path / "faulty_asks.py").write_text(ASKS)
    (tmp_path / "faulty_exits.py").write_text(EXITS)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.registry.cache_clear()
    return tmp_path


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("arguments", [["plugins", "attack"], ["run", "--dry-run", "attack=pgd"]])
def test_every_command_names_them_and_goes_on(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status, out, err = command(arguments, capsys)
    finally:
        plugins.registry.cache_clear()
    assert status == 0
    assert "pgd" in out
    lines = [line for line in err.splitlines() if "faulty 1.0 is skipped" in line]
    assert len(lines) == 2
    assert "'asks'" in lines[0]
    assert "expected no call of registry()" in lines[0]
    assert "'exits'" in lines[1]
    assert "SystemExit: 0" in lines[1]


def test_the_process_lives_on_in_python_too(installed: Path) -> None:
    code = (
        "from robench import registry; found = registry(); "
        "print(len(found.broken), 'pgd' in found.choices['attack'])"
    )
    path = os.pathsep.join([str(installed), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    plugins.registry.cache_clear()
    assert done.stdout == "2 True\n", done.stderr


def test_a_plugin_whose_studies_end_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @robench.hookimpl
    def robench_studies() -> Any:
        sys.exit("bye")

    module = ModuleType("a_plugin")
    vars(module)["robench_studies"] = robench_studies
    known = found(module)
    monkeypatch.setattr(catalogue, "registry", lambda: known)
    with pytest.raises(PluginError, match="plugin 'plugin0': its studies fail: SystemExit: bye"):
        catalogue.studies()
