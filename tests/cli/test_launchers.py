"""What robench adds to Hydra's launchers: Slurm's words, workers that die, a share of a machine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from robench.base.errors import UserError
from robench.base.machine import allotted_threads
from robench.cli import slurm
from robench.cli.launchers import OnSlurm, _part_of, for_part, reach
from robench.run import pipeline, sweeps
from robench.run.config import Places
from robench.run.sweeps import End
from tests.cli.command import command


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue that says what stands in a file."""
    said, program = tmp_path / "said", tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {said}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return said


def test_slurm_says_what_became_of_a_job_without_accounting(squeue: Path, tmp_path: Path) -> None:
    queue = ["5_0 RUNNING None", "5_1 PENDING Priority", "5_2 CANCELLED None", "5_3 TIMEOUT None"]
    squeue.write_text("\n".join([*queue, "6 COMPLETED None", "", "odd"]))
    jobs = {str(n): f"5_{n}" for n in range(5)}
    slurm.keep_jobs(tmp_path, jobs)
    slurm.keep_jobs(tmp_path, {"trainings/0": "6"})
    assert slurm.words_of(slurm.kept_jobs(tmp_path)) == {
        "0": "RUNNING",
        "1": "PENDING",
        "2": "CANCELLED",
        "3": "TIMEOUT",
        "4": slurm.GONE,
        "trainings/0": "COMPLETED",
    }
    assert [slurm.states_of(slurm.words_in(tmp_path))[n] for n in "01234"] == [
        *("running", "waiting", "lost", "lost", "lost")
    ]
    squeue.unlink()  # its controller is away: nothing is known, nobody is taken for lost
    assert slurm.words_of(jobs) is None
    assert slurm.words_in(tmp_path) == {}


def test_what_slurm_holds_a_job_back_for_is_said(
    squeue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    squeue.write_text("5_0 PENDING PartitionConfig\n5_1 PENDING (ReqNodeNotAvail, Down:a)")
    slurm.keep_jobs(tmp_path, {"0": "5_0", "1": "5_1"})
    plan = sweeps.Plan("..", tuple(sweeps.Asked((), n * 16) for n in "ab"))
    with sweeps.begun(tmp_path, plan):
        pass
    assert slurm.states_of(slurm.words_in(tmp_path)) == {"0": "waiting", "1": "waiting"}
    status, out, _ = command(["sweep", "status", str(tmp_path)], capsys)
    assert status == 0
    assert "2 jobs, 0 failed, 2 waiting" in out
    assert "Slurm holds jobs back: (ReqNodeNotAvail, Down:a), PartitionConfig" in out


@pytest.mark.parametrize(
    ("name", "extra"), [("joblib", "joblib"), ("slurm", "submitit"), ("ray", "ray")]
)
@pytest.mark.parametrize("flags", [["-m", "seed=0,1"], ["-m", "seed=0,1", "--dry-run"], []])
def test_a_launcher_that_is_not_installed_is_one_line(
    name: str,
    extra: str,
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for module in [one for one in sys.modules if one.startswith("hydra_plugins.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "hydra_plugins", None)  # what no launcher at all leaves
    said = command(["run", *flags, f"hydra/launcher={name}"], capsys)
    line = (
        f"robench: expected the engine of hydra/launcher={name} to be installed, got none; "
        f"pip install 'robench[{extra}]'\n"
    )
    assert said == (2, "", line)
    assert list(tmp_path.iterdir()) == []


def test_a_launcher_typed_wrong_is_told_all_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = command(["run", "-m", "seed=0,1", "hydra/launcher=joblip"], capsys)
    assert (status, err.count("\n")) == (2, 1)
    assert all(name in err for name in ("basic", "joblib", "slurm", "ray"))
    assert err.endswith("; did you mean 'joblib'?\n")


class Slurm(OnSlurm):
    """Its sbatch takes three jobs, one of which ends at once; somebody then presses Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})

    def _executor(self) -> Any:
        jobs = [SimpleNamespace(job_id=f"7_{n}") for n in range(3)]
        return SimpleNamespace(map_array=lambda *_: jobs)

    def _wait(self, folder: Path, jobs: Mapping[str, Any]) -> None:
        sweeps.leave_note(folder, "1", End((), record="made"))
        raise KeyboardInterrupt


@pytest.mark.parametrize("answers", [True, False])
def test_who_interrupts_a_sweep_leaves_no_job_in_the_queue(
    answers: bool, squeue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scancel, asked = squeue.parent / "bin" / "scancel", tmp_path / "asked"
    scancel.write_text(f'#!/bin/sh\necho "$@" > {asked}\nexit {int(not answers)}\n')
    scancel.chmod(0o755)
    launcher = Slurm(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        launcher.launch([for_part([], str(n)) for n in range(3)], 0)
    assert asked.read_text() == "7_0 7_2\n"
    assert [(tmp_path / f"{n}.lost").exists() for n in range(3)] == [True, False, True]
    assert ("end them with scancel 7_0 7_2" in capsys.readouterr().err) is not answers


class Joblib:
    """A launcher whose worker dies at some parts, and takes the rest of the batch with it."""

    def __init__(self, folder: Path, deadly: set[str], at: int) -> None:
        self.folder, self.deadly, self.at = folder, deadly, at
        self.started: Counter[str] = Counter()

    def launch(self, batch: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        for part in map(_part_of, batch):
            self.started[part] += 1
            if part in self.deadly and self.started[part] <= self.at:
                (self.folder / f"{part}.alive").write_text("{}")
                raise BrokenProcessPool("a worker was killed")
            sweeps.leave_note(self.folder, part, End((), record=part))


@pytest.mark.parametrize(("dies", "starts"), [(1, 2), (99, 3)])
def test_a_worker_that_dies_takes_no_sweep_with_it(dies: int, starts: int, tmp_path: Path) -> None:
    from robench.run.compose import prepare

    prepare()
    from robench.cli.jobs import Jobs

    jobs = Jobs(None)
    launcher = Joblib(tmp_path, {"1", "3"}, dies)
    jobs.launcher = launcher  # type: ignore[assignment]
    jobs._launch(tmp_path, {str(n): [] for n in range(6)})
    ended = {n for n in range(6) if sweeps.read_end(tmp_path, str(n))}
    assert ended == (set(range(6)) if dies == 1 else {0, 2, 4, 5})
    assert launcher.started["1"] == launcher.started["3"] == starts
    assert Jobs.trouble == ""


def test_jobs_at_once_spread_over_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places()
    for count, devices in ((0, {"auto"}), (1, {"auto"}), (3, {"cuda:0", "cuda:1", "cuda:2"})):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        assert {pipeline.spread(places, job).device for job in range(6)} == devices
    chosen = replace(places, device="cuda:1")
    assert pipeline.spread(chosen, 0) == chosen


def test_threads_follow_the_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    for told, threads in (("3", 3), ("", None), ("many", None)):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", told)
        assert allotted_threads() == threads
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    try:
        pipeline.prepare_machine(Places())
        assert torch.get_num_threads() == 2
        pipeline.prepare_machine(Places(threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_ray_that_does_not_answer_is_one_line() -> None:
    def init(**settings: object) -> None:
        raise ConnectionError(f"Failed to connect to Ray cluster at {settings['address']}")

    expected = "expected a Ray that answers at h:1, got: Failed to connect .* RAY_AUTH_MODE=token"
    with pytest.raises(UserError, match=expected):
        reach(init, {"address": "h:1"})
