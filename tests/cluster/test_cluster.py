"""A sweep on a real Slurm and a real Ray, its jobs failed, cancelled, killed, preempted, timed out.

`make test-cluster` runs it; `-s` prints the table of what was done and what came of it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from robench.cli import slurm as slurm_words
from tests.cluster import ray, slurm
from tests.cluster.sweep24 import JOBS, PATIENCE, Sweep, undisturbed, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return undisturbed(tmp_path_factory.mktemp("whole") / "sweep")


@pytest.fixture
def occupied(whole: Sweep, tmp_path: Path) -> str:
    """The id of a record whose place is taken, so that its job fails by itself."""
    taken = sorted(whole.records())[5]
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / taken).write_text("a file where a folder should be")
    return taken


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    sweep = Sweep(tmp_path)
    yield sweep
    sweep.end()


def resumes(sweep: Sweep, whole: Sweep, occupied: str, lost: int, killed: str = "") -> None:
    """The same command on the basic launcher makes what is missing, and nothing else."""
    before = sweep.made()
    assert len(before) == JOBS - 1 - lost
    (sweep.root / "results" / occupied).unlink()
    trained = len(list(sweep.root.glob("cache/train/*/*/manifest.json")))
    assert sweep.start().wait(PATIENCE) == 0, sweep.said()
    after = sweep.made()
    assert {name: after[name] for name in before} == before
    assert sweep.records() == whole.records()
    assert len(list(sweep.root.glob("cache/train/*/*/manifest.json"))) == trained == 12
    left = [p.name for p in sweep.root.rglob("*") if p.name.endswith((".partial", ".old", ".now"))]
    # What a job that was killed while it wrote its record has left is swept after a day.
    assert all(killed and name.startswith(f".{killed}.") for name in left), left
    print(f"| resumed | the same command without a launcher | {JOBS} done, {lost + 1} made anew |")


@pytest.mark.skipif(slurm.reason_to_skip() != "", reason=slurm.reason_to_skip() or "none")
def test_a_sweep_on_slurm(
    whole: Sweep, occupied: str, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("submitit", reason="needs pip install 'robench[submitit]'")
    with slurm.running(tmp_path_factory.mktemp("slurm")) as env:
        sweep.env = env
        started = time.monotonic()
        launcher = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=2"]
        launcher += ["hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=2"]
        process = sweep.start(*launcher, "hydra.launcher.signal_delay_s=30")
        _disturb_trainings(sweep, env)
        cancelled, killed = _disturb_jobs(sweep, env)
        assert process.wait(PATIENCE) == 2, sweep.said()
        jobs = json.loads((sweep.folder / "slurm.json").read_text())
        words = _words(env)
        took = time.monotonic() - started
    by_number = {one["number"]: one for one in sweep.status()}
    count = Counter(one["state"] for one in by_number.values())
    assert count == {"done": JOBS - 1 - len(cancelled) - 1, "failed": 1, "lost": len(cancelled) + 1}
    (failed,) = (one for one in by_number.values() if one["state"] == "failed")
    assert occupied in failed["why"]
    assert words[jobs[str(failed["number"])]] == "FAILED"
    ends = [by_number[int(part)]["why"] for part in cancelled]
    assert "CANCELLED" in ends[0]
    assert slurm_words.GONE in ends[1]
    assert by_number[int(killed)]["state"] == "lost"
    said = sweep.said()
    assert f"{JOBS} jobs, 1 failed, {len(cancelled) + 1} lost" in said
    assert "internal error" not in said
    print(f"\n| failed by itself | | FAILED in Slurm; status: failed: {failed['why'][:60]}... |")
    print(f"| cancelled while it ran | scancel | status: lost: {ends[0]} |")
    print(f"| cancelled while it waited | scancel | status: lost: {ends[1]} |")
    print(f"| killed | kill -9 | status: lost: {by_number[int(killed)]['why']} |")
    print(f"| the sweep | {took:.0f} s | {dict(count)} |")
    resumes(sweep, whole, occupied, len(cancelled) + 1, _id(sweep, killed))


@pytest.mark.skipif(slurm.reason_to_skip() != "", reason=slurm.reason_to_skip() or "none")
def test_who_interrupts_a_sweep_leaves_no_job_on_slurm(
    sweep: Sweep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("submitit", reason="needs pip install 'robench[submitit]'")
    with slurm.running(tmp_path_factory.mktemp("interrupted")) as env:
        sweep.env = env
        launcher = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1"]
        process = sweep.start(*launcher, "hydra.launcher.mem_gb=2")
        sweep.next_at_work("trainings", set())
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130, sweep.said()
        until(lambda: not _left(env), "a queue without jobs")
    said = sweep.said()
    assert f"{JOBS} jobs, 0 failed, {JOBS} lost" in said
    assert "robench: interrupted; the same command goes on" in said
    print("\n| interrupted | Ctrl-C | no job left in the queue; exit status 130 |")


def _id(sweep: Sweep, number: str) -> str:
    """The id of the record that a job makes."""
    plan = json.loads((sweep.folder / "plan.json").read_text())
    return str(plan["jobs"][int(number)]["id"])


def _left(env: dict[str, str]) -> set[str]:
    """The jobs that wait or run."""
    return {job for job, word in _words(env).items() if slurm_words.state_of(word) != "lost"}


def _disturb_trainings(sweep: Sweep, env: dict[str, str]) -> None:
    """Preempt two trainings, kill one, and hold one until its time is up."""
    seen: set[str] = set()
    held = [sweep.next_at_work("trainings", seen) for _ in range(2)]
    for _, pid in held:
        os.kill(pid, signal.SIGSTOP)
    high = ["sbatch", "--partition", "high", "--cpus-per-task", "2", "--output", "/dev/null"]
    subprocess.run([*high, "--wrap", "sleep 1"], env=env, check=True, capture_output=True)
    jobs = json.loads((sweep.folder / "slurm.json").read_text())
    for part, _ in held:
        job = jobs[f"trainings/{part}"]
        until(lambda job=job: _words(env).get(job) in ("PENDING", "REQUEUED"), f"{job} preempted")
        _hasten(job, env)
    states = {one["state"] for one in sweep.status()}
    assert states <= {"waiting", "failed"}, states
    print(f"\n| preempted | sbatch --partition high | {len(held)} trainings requeued |")
    seen.difference_update(part for part, _ in held)
    _, pid = sweep.next_at_work("trainings", seen)
    os.kill(pid, signal.SIGKILL)
    part, pid = sweep.next_at_work("trainings", seen)
    os.kill(pid, signal.SIGSTOP)
    job = jobs[f"trainings/{part}"]
    until(lambda: _pending_signal(pid), "the signal of the time limit")
    with suppress(ProcessLookupError):  # Slurm may have let it go on itself
        os.kill(pid, signal.SIGCONT)
    until(lambda: _words(env).get(job) in ("PENDING", "REQUEUED"), "requeued after its time")
    _hasten(job, env)
    print("| over its time limit | Slurm's signal, 30 s before | requeued |")


def _hasten(job: str, env: dict[str, str]) -> None:
    """Let a requeued job begin: Slurm would let it wait two minutes."""
    command = ["scontrol", "update", f"JobId={job}", "StartTime=now"]
    # Refused while what it left is cleared away.
    until(lambda: subprocess.run(command, env=env, check=False).returncode == 0, "a requeued job")


def _disturb_jobs(sweep: Sweep, env: dict[str, str]) -> tuple[list[str], str]:
    """Cancel a job that runs and one that waits, and kill one; returns their numbers."""
    seen: set[str] = set()
    until(lambda: "0" in json.loads((sweep.folder / "slurm.json").read_text()), "the second wave")
    jobs = json.loads((sweep.folder / "slurm.json").read_text())
    waiting = max((part for part in jobs if "/" not in part), key=int)
    subprocess.run(["scancel", jobs[waiting]], env=env, check=True)
    running, pid = _held(sweep, seen)
    subprocess.run(["scancel", jobs[running]], env=env, check=True)
    # Slurm lets it go on until KillWait is over, in which it would end well.
    until(lambda: not _stopped(pid), "the end of a cancelled job")
    killed, pid = _held(sweep, seen)
    os.kill(pid, signal.SIGKILL)
    return [running, waiting], killed


def _held(sweep: Sweep, seen: set[str]) -> tuple[str, int]:
    """The next job that is stopped before it ends."""
    while True:
        part, pid = sweep.next_at_work("jobs", seen)
        if not _stopped(pid):
            continue
        (state,) = (one["state"] for one in sweep.status() if one["number"] == int(part))
        if state == "running":
            return part, pid
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _stopped(pid: int) -> bool:
    """Stop a process; False where it is gone."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    return True


def _words(env: dict[str, str]) -> dict[str, str]:
    command = ["squeue", "-h", "-r", "-t", "all", "-o", "%i %T"]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in told.splitlines())


def _pending_signal(pid: int) -> bool:
    """Whether SIGUSR2 waits for a stopped process, or ended it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return True
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd"))]
    return any(mask >> (signal.SIGUSR2 - 1) & 1 for mask in masks)


@pytest.mark.skipif(ray.reason_to_skip() != "", reason=ray.reason_to_skip() or "none")
def test_a_sweep_on_a_running_ray(
    whole: Sweep, occupied: str, sweep: Sweep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ray.running(tmp_path_factory.mktemp("ray")) as (address, env):
        sweep.env = env
        started = time.monotonic()
        launcher = ["hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
        process = sweep.start(*launcher)
        seen: set[str] = set()
        _, pid = sweep.next_at_work("trainings", seen)
        os.kill(pid, signal.SIGKILL)
        until(lambda: (sweep.folder / "trainings" / "11.json").exists(), "the second wave")
        again, pid = sweep.next_at_work("jobs", seen)
        for _ in range(4):  # the first start, and three more
            os.kill(pid, signal.SIGKILL)
            pid = until(lambda pid=pid: _restarted(sweep, again, pid), f"job {again} again")
            if pid < 0:
                break
        assert process.wait(PATIENCE) == 2, sweep.said()
        took = time.monotonic() - started
    by_number = {one["number"]: one for one in sweep.status()}
    count = Counter(one["state"] for one in by_number.values())
    assert count == {"done": JOBS - 2, "failed": 1, "lost": 1}
    (failed,) = (one for one in by_number.values() if one["state"] == "failed")
    assert occupied in failed["why"]
    assert "Ray" in by_number[int(again)]["why"]
    assert "internal error" not in sweep.said()
    print("\n| killed once | kill -9 of the worker | Ray starts it again |")
    print(f"| killed at each start | kill -9 | status: lost: {by_number[int(again)]['why'][:70]} |")
    print(f"| the sweep | {took:.0f} s | {dict(count)} |")
    resumes(sweep, whole, occupied, lost=1)


def _restarted(sweep: Sweep, part: str, before: int) -> int:
    """The process of a part's next start; -1 when it was given up."""
    if (sweep.folder / f"{part}.lost").exists():
        return -1
    now = dict(sweep.at_work("jobs")).get(part, before)
    return now if now != before else 0


@pytest.mark.skipif(ray.reason_to_skip() != "", reason=ray.reason_to_skip() or "none")
def test_a_sweep_on_a_ray_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "robench", "run", "-m", "hydra/launcher=ray", "seed=0,1"]
    command += ["attack=fgsm", "train.epochs=1", "images=40", "threads=1", "audit=off"]
    command += ["hydra.launcher.ray.init.include_dashboard=false"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 jobs, 0 failed" in done.stdout


def test_a_worker_of_joblib_dies(whole: Sweep, sweep: Sweep) -> None:
    process = sweep.start("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    seen: set[str] = set()
    _, pid = sweep.next_at_work("trainings", seen)
    os.kill(pid, signal.SIGKILL)
    until(lambda: (sweep.folder / "trainings" / "11.json").exists(), "the second wave")
    _, pid = sweep.next_at_work("jobs", seen)
    os.kill(pid, signal.SIGKILL)
    assert process.wait(PATIENCE) == 0, sweep.said()
    assert sweep.records() == whole.records()
