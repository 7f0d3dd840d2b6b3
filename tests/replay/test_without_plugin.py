"""Verification needs no code of an attack: its examples are judged where it is not installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import robench

PLUGIN = """
import robench
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class Faint(robench.Attack):
    "Half a step against the gradient."
    search = "ball"

    def run(self, twin, images, labels, threat, rng):
        import torch
        given = images.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(twin(given), labels)
        (gradient,) = torch.autograd.grad(loss, given)
        return images + threat.eps * gradient.sign()

@robench.hookimpl
def robench_register(register):
    register("attack", "faint", Faint)
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment in which a third party's attack is installed."""
    site = tmp_path / "site"
    info = site / "third_party-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "third_party.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[robench]\nthird_party = third_party\n")
    root = Path(robench.__file__).parents[1]
    path = [str(site), str(root), str(root / "plugins")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def command(arguments: list[str], environment: dict[str, str]) -> str:
    line = [sys.executable, "-m", "robench", *arguments]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_examples_are_judged_without_the_attack_that_made_them(
    installed: dict[str, str], tmp_path: Path
) -> None:
    options = ["train.epochs=2", "images=60", "threads=1", "audit=quick", "compressor=none"]
    command(["run", "attack=faint", *options], installed)
    (path,) = (tmp_path / "results").glob("*/record.json")
    without = {**installed, "ROBENCH_DISABLE_PLUGINS": "third_party"}
    out = command(["verify", str(path.parent)], without)
    assert re.search(r"pass     examples: \d+ examples of 1 row lie in their threats", out), out
    assert "pass     audits" in out
    assert "not done crafted again: faint (white_box" in out
    assert "level: verified" in out  # the audit, searched again, bounds the row
