"""Sweeps as their user meets them: what is there is left alone, what ends a job is said."""

from __future__ import annotations

import base64
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from robench.base.errors import UserError
from robench.base.paths import shipped
from robench.run import pipeline, versions
from robench.run.compose import prepare, run_config
from tests.cli.command import FAST, command, records

SWEEP = ["run", "-m", "attack=fgsm", "seed=0,1", "audit=off", *FAST, "images=20"]


def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the runs from now on; none is run."""
    seen: list[int] = []

    def run(config: Any, *_: object) -> None:
        seen.append(config.seed)
        raise KeyError("not run")

    monkeypatch.setattr(pipeline, "run", run)
    return seen


def test_whole_records_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command(SWEEP, capsys)[0] == 0
    seen = ran(monkeypatch)
    status, out, _ = command(SWEEP, capsys)
    assert (status, seen) == (0, [])
    assert "2 jobs, 0 failed" in out
    command([*SWEEP, "--again"], capsys)
    assert seen == [0, 1]
    seen.clear()
    first = next(p.parent for p in records(tmp_path) if '"seed":0' in p.read_text())
    (first / "outcomes.parquet").write_bytes(b"torn")
    command(SWEEP, capsys)
    assert seen == [0]
    seen.clear()
    monkeypatch.setattr(versions, "STEPS", {**versions.STEPS, "attack": 99})
    monkeypatch.setattr("robench.run.standing.STEPS", versions.STEPS)
    command(SWEEP, capsys)
    assert seen == [0, 1]


def test_records_whose_models_are_kept_once_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = ["run", "-m", "attack=fgsm,normal_noise", "audit=off", *FAST, "images=20"]
    assert command(two, capsys)[0] == 0
    assert command(["share", str(tmp_path / "results")], capsys)[0] == 0
    assert list((tmp_path / "results" / "models").iterdir())
    seen = ran(monkeypatch)
    assert command(two, capsys)[0] == 0
    assert seen == []


def test_a_cache_that_is_complete_is_used_where_it_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ["run", "attack=fgsm", "audit=off", *FAST, "images=20", "--quiet"]
    assert command(one, capsys)[0] == 0

    def refuse(*_: object) -> None:
        raise UserError("expected cache= to name a folder to write into")

    monkeypatch.setattr("robench.run.cache.require_writable", refuse)
    status, out, err = command([*one, f"results={tmp_path / 'elsewhere'}"], capsys)
    assert (status, err) == (0, "")
    assert (Path(out.strip()) / "record.json").is_file()
    status, _, err = command([*one, "train.epochs=2"], capsys)
    assert (status, err.count("\n")) == (2, 1), "a step that is missing"


def test_a_launcher_that_gives_up_is_not_robenchs_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def launch(*_: object, **__: object) -> None:
        raise RuntimeError("Job (task=0) failed during processing")

    prepare()  # Hydra reads the modules of its launchers anew
    monkeypatch.setattr("robench.cli.jobs.BasicLauncher.launch", launch)
    status, out, err = command(SWEEP, capsys)
    assert status == 2
    assert "2 jobs, 0 failed, 2 lost" in out
    said = " ".join(out.split())
    assert said.count("never started") == 2
    assert "the launcher gave up: RuntimeError: Job (task=0) failed" in said
    assert "internal error" not in out + err
    (folder,) = (tmp_path / "results" / "sweeps").iterdir()
    assert f"robench sweep status {folder}" in out
    status, again, _ = command(["sweep", "status", str(folder)], capsys)
    assert command(["sweep", "status", "last"], capsys)[:2] == (status, again)
    assert status == 1
    assert "2 lost" in again


def test_what_stops_a_job_is_lost_not_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", run)
    status, said, err = command(SWEEP, capsys)
    assert status == 130
    assert "2 jobs, 0 failed, 2 lost" in said
    assert err.count("\n") == 1
    (folder,) = (tmp_path / "results" / "sweeps").iterdir()
    _, out, _ = command(["sweep", "status", str(folder)], capsys)
    assert "stopped: KeyboardInterrupt" in out
    assert "2 jobs, 0 failed, 2 lost" in out
    assert not list(folder.glob("*.alive"))


def test_again_is_of_sweeps(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = command(["run", "--again", "attack=fgsm"], capsys)
    assert status == 2
    assert "expected --again with -m" in err


def test_a_worker_of_another_process_knows_the_components(tmp_path: Path) -> None:
    """Workers get the classes of Hydra's nodes by value."""
    prepare()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        composed = compose("config", ["defense=intrs", "attack=pgd", "access=transfer"])
    sent = base64.b64encode(cloudpickle.dumps(composed)).decode()
    script = (
        "import base64, pickle, sys; from robench.run.compose import run_config\n"
        "print(run_config(pickle.loads(base64.b64decode(sys.stdin.read())))[0].id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=sent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == run_config(composed)[0].id


def test_a_full_disk_anywhere_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("robench.run.sweeps.write_whole", link)
    status, out, err = command(SWEEP, capsys)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "No space left on device" in err
