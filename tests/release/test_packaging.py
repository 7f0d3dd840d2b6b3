"""The sdist and the wheel built from it: what they hold, and that it works without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


def call(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("ROBENCH")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def build(source: Path, out: Path) -> tuple[Path, Path]:
    """The sdist of a source tree, and the wheel that is built from that sdist alone."""
    call(sys.executable, "-m", "build", "-q", "--no-isolation", "-o", out, source, cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(ROOT, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def fresh(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; dependencies are borrowed from the running one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    site = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    # A plain path in a .pth does not run the editable install's own .pth.
    Path(site.stdout.strip(), "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    call(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--ignore-installed",
        built[1],
        cwd=folder,
    )
    return folder


def files(*folders: str) -> set[str]:
    """What the checkout has below these folders, as paths from its root."""
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & {*path.parts}
    }


def test_the_sdist_holds_the_source_and_none_of_the_published_records(
    built: tuple[Path, Path],
) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert files("robench", "plugins", "conf", "tests", "docs", "examples") <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "constraints.txt", "mkdocs.yml"} <= names
    assert not [name for name in names if name.startswith("leaderboard")]
    assert built[0].stat().st_size < 3 * 2**20


def test_the_wheel_holds_core_plugins_and_presets_and_no_tests(built: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(built[1]).namelist())
    plugins = {name.removeprefix("plugins/") for name in files("plugins")}
    conf = {f"robench/{name}" for name in files("conf")}
    assert files("robench") | plugins | conf <= names
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {
        "robench",
        *(name.partition("/")[0] for name in plugins),
    }
    kinds = {Path(name).suffix for name in names}
    assert {".h", ".jinja", ".csv", ".typed", ".yaml", ".html", ".js", ".css"} <= kinds


def test_it_runs_from_any_folder_without_the_checkout(fresh: Path) -> None:
    robench = fresh / "env" / "bin" / "robench"
    where = call(
        fresh / "env" / "bin" / "python", "-c", "import robench; print(robench.__file__)", cwd=fresh
    )
    assert str(fresh) in where.stdout
    command = [robench, "run", "attack=fgsm", "train.epochs=1", "images=50", "threads=1"]
    assert "record: " in call(*command, cwd=fresh).stdout
    assert list(fresh.glob("results/*/record.json"))


EXAMPLE = ROOT / "examples/robench-example"
CHOSEN = [
    "defense=jpeg",
    "compressor=magnitude_pruning",
    "attack=[fgsm,deepfool]",
    "metric=[accuracy,calibration_error]",
]
SHORT = ["train.epochs=1", "images=40", "threads=1", "audit=off", "results=together"]


def test_a_foreign_package_joins_runs_and_is_gone_again(fresh: Path, tmp_path: Path) -> None:
    """The example package: installed, run beside robench's own, on the page, uninstalled."""
    python, robench = fresh / "env/bin/python", fresh / "env/bin/robench"
    _, wheel = build(EXAMPLE, tmp_path)
    call(python, "-m", "pip", "install", "-q", "--no-deps", wheel, cwd=fresh)
    assert "robench-example 0.1.0" in call(robench, "plugins", "attack", cwd=fresh).stdout
    assert "deepfool" in call(robench, "run", *CHOSEN, *SHORT, cwd=fresh).stdout
    call(robench, "run", "attack=[fgsm,deepfool]", *SHORT, cwd=fresh)
    call(python, "-m", "pip", "uninstall", "-q", "-y", "robench-example", cwd=fresh)
    assert "deepfool" not in call(robench, "plugins", "attack", cwd=fresh).stdout
    gone = call(robench, "run", *CHOSEN, cwd=fresh, check=False)
    assert gone.returncode == 2
    assert "jpeg" in gone.stderr
    # Its record stays a record, beside that of robench's own network: a page needs no plugin.
    call(robench, "leaderboard", "together", "--out", "page", cwd=fresh)
    table = Path(fresh, "page/index.html").read_text().replace("<wbr>", "")
    assert "jpeg · magnitude_pruning" in table
    assert ">plain<" in table
