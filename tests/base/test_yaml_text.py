"""YAML is read as Hydra composes it: of one file there is one reading."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import yaml
from hypothesis import given, reject
from hypothesis import strategies as st
from omegaconf import OmegaConf

from robench.base.paths import shipped
from robench.base.yaml_text import read_yaml

PARTS = [*"0123456789_.eE+-:", "inf", "nan", ".inf", ".NaN", "true", "null", "~", "0x1f", "'1'"]


def _omegaconf(text: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(text), resolve=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1_0.5", 10.5),
        ("2001-01-01", "2001-01-01"),
        (".inf", float("inf")),
        ("'1'", "1"),
        ("off", False),
        ("~", None),
    ],
)
def test_values(text: str, value: object) -> None:
    assert read_yaml(f"a: {text}") == {"a": value}


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("".join))
def test_scalars_are_those_of_omegaconf(text: str) -> None:
    # The compiled scanner and Python's part ways over a few texts that one of them refuses.
    whole = f"a: {text}\nb:\n- {text}"
    try:
        expected, found = _omegaconf(whole), read_yaml(whole)
    except (yaml.YAMLError, ValueError):
        reject()
    assert repr(found) == repr(expected)


def test_presets_are_read_as_omegaconf_reads_them() -> None:
    files = sorted(Path(shipped("conf")).rglob("*.yaml"))
    assert len(files) > 9
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert (read_yaml(text) or {}) == _omegaconf(text)


@pytest.mark.parametrize("text", ["a: 1\na: 2", "b:\n  a: 1\n  a: 2", "a: !!python/name:os.system"])
def test_what_omegaconf_refuses(text: str) -> None:
    for read in (read_yaml, _omegaconf):
        with pytest.raises(yaml.YAMLError):
            read(text)


def test_a_page_is_built_without_hydra() -> None:
    code = (
        "import sys, robench.leaderboard.build, robench.records.protocols as its\n"
        "assert len(its.protocols()) > 3\n"
        "sys.exit(any(name in sys.modules for name in ('omegaconf', 'hydra')))"
    )
    assert run([sys.executable, "-c", code], check=False).returncode == 0
