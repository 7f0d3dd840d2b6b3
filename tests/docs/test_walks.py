"""The walks of docs/contributing, followed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import robench
from robench.integer import ops
from robench.leaderboard.table.cells import column
from robench.plugin.registry import registry
from tests.docs.pages import DOCS, ROOT, blocks, code_spans, written

WALKS = sorted(path.name for path in (DOCS / "contributing").glob("*.md"))
NEW = {"robench/audit/checks/brightness.py"}


def steps(walk: str) -> list[set[str]]:
    """The files that each numbered step names, the documentation's own left aside."""
    numbered = re.split(r"^\d\. ", written(f"contributing/{walk}"), flags=re.MULTILINE)[1:]
    named = [set(re.findall(r"`((?:[\w-]+/)+[\w.-]+\.\w+)`", step)) for step in numbered]
    return [{path for path in paths if not path.startswith("docs/")} for paths in named]


@pytest.mark.parametrize("walk", WALKS)
def test_every_file_it_names_is_there(walk: str) -> None:
    for span in code_spans(DOCS / "contributing" / walk):
        if re.fullmatch(r"(?:[\w-]+/)+[\w.-]+\.\w+", span) and not ("NAME" in span or span in NEW):
            assert (ROOT / span).is_file(), span


def test_pgd_steps_in_at_most_three_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The component moves images by that search alone; the search stands in the file named."""
    import torch

    from robench.testing import tiny_data, tiny_network

    files = set.union(*steps("change-pgd.md"))
    assert len(files) == 3
    assert any(path.startswith("tests/") for path in files)
    attack = registry().get("attack", "pgd").make(steps=2)
    network, images = tiny_network(), tiny_data().test.take(torch.arange(6))
    threat = robench.Threat("linf", 0.1)

    def run() -> torch.Tensor:
        rng = torch.Generator().manual_seed(0)
        found: torch.Tensor = attack.run(network, images.float_images(), images.labels, threat, rng)
        return found

    moved = run()
    from robench.search import GradientSearch

    assert sys.modules[GradientSearch.__module__].__file__ == str(ROOT / "robench/search/ascent.py")
    monkeypatch.setattr(GradientSearch, "run", lambda self, twin, x, *rest, **more: x.clone())
    assert torch.equal(run(), images.float_images())
    assert not torch.equal(moved, images.float_images())


TRIAL = """
import json, torch
from robench.audit.checks import CHECKS
from robench.audit.trial import SystemTrial
from robench.core.system import FloatDeployed, System
from robench.core.threat import Threat
from robench.testing import tiny_data, tiny_network

test, model = tiny_data().test.take(torch.arange(20)), tiny_network()
trial = SystemTrial(System(FloatDeployed(model), model), test.float_images(), test.labels,
              Threat("linf", 0.1), 0, {})
quick = [finding.check for check in CHECKS["quick"] for finding in check.look(trial)]
print(json.dumps({"quick": quick, "full": [type(check).__name__ for check in CHECKS["full"]]}))
"""


def audited(tree: Path) -> dict[str, list[str]]:
    """What the quick audit of a copy of robench finds, and the checks of its full one."""
    env = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", TRIAL], env=env, cwd=tree, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_new_check_runs_after_the_three_steps(tmp_path: Path) -> None:
    module, table, said, test = steps("add-a-check.md")
    assert (module, table) == (NEW, {"robench/audit/checks/__init__.py"})
    assert test == {"tests/audit/test_checks.py"}
    shutil.copytree(
        ROOT / "robench", tmp_path / "robench", ignore=shutil.ignore_patterns("__pycache__")
    )
    code, words = [
        b for b in blocks(DOCS / "contributing/add-a-check.md") if b.language == "python"
    ]
    (tmp_path / module.pop()).write_text(code.text)
    sentences = tmp_path / said.pop()
    text = sentences.read_text()
    line = "SENTENCES: dict[str, tuple[str, ...]] = {\n"
    assert text.count(line) == 1
    sentences.write_text(text.replace(line, line + words.text))
    levels = tmp_path / table.pop()
    text = levels.read_text()
    line = "from robench.audit.checks.agreement import Agreement\n"
    assert text.count(line) == 1
    text = text.replace(line, line + "from robench.audit.checks.brightness import Brightness\n")
    assert text.count('": (\n') == 2, "expected a tuple of checks for each level"
    text = text.replace('": (\n', '": (\n        Brightness(),\n')
    levels.write_text(text)
    found = audited(tmp_path)
    assert "brightness" in found["quick"]
    assert "Brightness" in found["full"]


def test_the_operations_walk_names_every_place_of_the_table() -> None:
    places = re.findall(r"^    (\S+\.(?:py|h)) ", ops.__doc__ or "", re.MULTILINE)
    table = {place if "/integer/" in place else f"robench/integer/{place}" for place in places}
    assert len(table) == 13
    assert set.union(*steps("add-an-operation.md")) == table


def test_a_metrics_value_is_a_column() -> None:
    (code,) = [b for b in blocks(DOCS / "contributing/add-a-column.md") if b.language == "python"]
    values: list[robench.Value] = []
    text = code.text.replace("robench.Value(", "value = robench.Value(")
    scope: dict[str, object] = {}
    exec(text, scope)
    assert isinstance(scope["value"], robench.Value)
    values.append(scope["value"])
    values.append(values[0].model_copy(update={"axes": {"attack": "cw"}}))
    one, other = (column(value) for value in values)
    assert one.metric == "calibration_error"
    assert one != other
