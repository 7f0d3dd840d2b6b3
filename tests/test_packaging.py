"""The wheel: what it holds, and that it works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
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


EXAMPLE = ROOT / "examples/robench-example"
CHOSEN = [
    "defense=jpeg",
    "compressor=magnitude_pruning",
    "attack=[fgsm,deepfool]",
    "metric=[accuracy,calibration_error]",
]
SHORT = ["train.epochs=1", "images=40", "threads=1", "audit=off"]


def test_a_foreign_package_joins_runs_and_is_gone_again(fresh: Path, tmp_path: Path) -> None:
    """The example package: installed, run beside robench's own, on the page, uninstalled."""
    python, robench = fresh / "env/bin/python", fresh / "env/bin/robench"
    call(python, "-m", "pip", "install", "-q", "--no-deps", build(EXAMPLE, tmp_path), cwd=fresh)
    assert "robench-example 0.1.0" in call(robench, "plugins", "attack", cwd=fresh).stdout
    assert "deepfool" in call(robench, "run", *CHOSEN, *SHORT, cwd=fresh).stdout
    call(robench, "run", "attack=[fgsm,deepfool]", *SHORT, cwd=fresh)
    call(python, "-m", "pip", "uninstall", "-q", "-y", "robench-example", cwd=fresh)
    assert "deepfool" not in call(robench, "plugins", "attack", cwd=fresh).stdout
    gone = call(robench, "run", *CHOSEN, cwd=fresh, check=False)
    assert gone.returncode == 2
    assert "jpeg" in gone.stderr
    # Its record stays a record, beside that of robench's own network: a page needs no plugin.
    call(robench, "leaderboard", "results", "--out", "page", cwd=fresh)
    table = Path(fresh, "page/index.html").read_text().replace("<wbr>", "")
    assert "jpeg · magnitude_pruning" in table
    assert ">plain<" in table
