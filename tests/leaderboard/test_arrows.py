"""The leaderboard's three steps point one way: writing may know the table, reading neither."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import robench.leaderboard

STEPS = ("read", "table", "write")


@pytest.mark.parametrize("step", STEPS)
def test_no_step_imports_a_later_one(step: str) -> None:
    later = STEPS[STEPS.index(step) + 1 :]
    for path in (Path(robench.leaderboard.__path__[0]) / step).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith(tuple(f"robench.leaderboard.{one}" for one in later)), path
