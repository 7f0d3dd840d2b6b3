"""A run whose steps are all cached loads none of the libraries that made them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = [
    "run",
    "attack=[fgsm,pgd]",
    "attack.pgd.steps=3",
    "train.epochs=1",
    "images=30",
    "threads=1",
]
SCRIPT = f"""
import sys
from robench.cli.main import main
assert main({COMMAND!r}) == 0
makers = {{"torchvision", "art", "sklearn", "pandas", "torch._dynamo"}}
print("loaded:", sorted(makers & set(sys.modules)))
"""


def test_a_cached_run_loads_no_maker(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "ROBENCH_CACHE": str(tmp_path / "c"),
        "ROBENCH_RESULTS": str(tmp_path / "r"),
    }
    command = [sys.executable, "-c", SCRIPT]
    first = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "'sklearn'" in first.stdout, "it reads digits"
    for maker in ("torchvision", "'art'", "dynamo"):
        assert maker not in first.stdout.rpartition("loaded:")[2], "nobody asked for it"
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "loaded: []" in again.stdout
