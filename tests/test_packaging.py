"""The wheel: what it holds, and that it works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow


def call(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("ROBENCH")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def build(source: Path, out: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    call(*pip, "-w", out, source, cwd=out)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; dependencies are borrowed from the running one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    site = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    # A plain path in a .pth does not run the editable install's own .pth.
    Path(site.stdout.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    call(python, "-m", "pip", "install", "-q", "--no-deps", "--ignore-installed", wheel, cwd=folder)
    return folder


def test_the_wheel_holds_core_plugins_and_presets_and_no_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        str(path.relative_to(base))
        for base in (ROOT, ROOT / "plugins")
        for path in base.glob("robench*/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped <= names
    conf = {f"robench/conf/{p.relative_to(ROOT / 'conf')}" for p in (ROOT / "conf").rglob("*.yaml")}
    assert conf <= names
    assert not [n for n in names if n.startswith(("tests", "conf", "leaderboard", "benchmarks"))]


def test_it_runs_from_any_folder_without_the_checkout(fresh: Path) -> None:
    robench = fresh / "env" / "bin" / "robench"
    where = call(
        fresh / "env" / "bin" / "python", "-c", "import robench; print(robench.__file__)", cwd=fresh
    )
    assert str(fresh) in where.stdout
    command = [robench, "run", "attack=fgsm", "train.epochs=1", "images=40", "threads=1"]
    assert "record: " in call(*command, cwd=fresh).stdout
    assert list(fresh.glob("results/*/record.json"))


PLUGIN = '''
from dataclasses import dataclass
import robench

@dataclass(frozen=True, kw_only=True)
class Flip(robench.Attack):
    """Mirrors images."""

    def run(self, twin, images, labels, threat, rng):
        return images.flip(3)

@robench.hookimpl
def robench_register(register):
    register("attack", "flip", Flip)
'''


def test_a_foreign_plugin_is_seen_and_gone_again(fresh: Path, tmp_path: Path) -> None:
    source = tmp_path / "robench-flip"
    source.mkdir()
    (source / "robench_flip.py").write_text(PLUGIN)
    (source / "pyproject.toml").write_text(
        textwrap.dedent(
            """
            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"
            [project]
            name = "robench-flip"
            version = "3.1"
            [project.entry-points.robench]
            flip = "robench_flip"
            [tool.hatch.build.targets.wheel]
            only-include = ["robench_flip.py"]
            """
        )
    )
    out = tmp_path / "out"
    out.mkdir()
    python, robench = fresh / "env/bin/python", fresh / "env/bin/robench"
    call(python, "-m", "pip", "install", "-q", "--no-deps", build(source, out), cwd=fresh)
    listed = call(robench, "plugins", "attack", cwd=fresh).stdout
    assert "Mirrors images." in listed
    assert "robench-flip 3.1" in listed
    ran = call(robench, "run", "attack=flip", "train.epochs=1", "images=40", "threads=1", cwd=fresh)
    assert "flip" in ran.stdout
    call(python, "-m", "pip", "uninstall", "-q", "-y", "robench-flip", cwd=fresh)
    assert "Mirrors" not in call(robench, "plugins", "attack", cwd=fresh).stdout
    gone = call(robench, "run", "attack=flip", cwd=fresh, check=False)
    assert gone.returncode == 2
