"""A sweep's folder tells how it stands, whatever ended its jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from robench.base import alive as life
from robench.base.errors import UserError
from robench.base.hashing import file_hash
from robench.run import sweeps
from robench.run.sweeps import Asked, End, Plan, standings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results" / "sweeps" / "one"


def plan(folder: Path, *jobs: Asked) -> Plan:
    return Plan(sweeps.seen_from(folder, folder.parents[1]), jobs)


def begin(folder: Path, plan: Plan) -> None:
    """Settle a plan; the sweep ends at once."""
    with sweeps.begun(folder, plan):
        pass


def made(folder: Path, name: str, text: str = "{}") -> str:
    record = folder.parents[1] / name / "record.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(text)
    return file_hash(record)


def states(folder: Path, engine: dict[str, sweeps.State] | None = None) -> list[str]:
    return [one.state for one in standings(folder, engine)]


def job(name: str, **more: object) -> Asked:
    return Asked((f"seed={name}",), name, **more)  # type: ignore[arg-type]


def test_every_end_of_a_job_is_told_apart(folder: Path) -> None:
    old = made(folder, "rewritten")
    asked = plan(
        folder,
        job("noted"),
        job("unnoted"),
        job("failed"),
        Asked(("seed=x",), refused="expected a seed"),
        job("there", there=True),
        job("rewritten", before=old),
        job("gone"),
        job("cancelled"),
        job("never"),
    )
    begin(folder, asked)
    made(folder, "noted")
    made(folder, "unnoted")
    made(folder, "there")
    sweeps.leave_note(folder, "0", End(("seed=0",), record="noted"))
    sweeps.leave_note(folder, "2", End(("seed=2",), error="expected better"))
    sweeps.leave_note(folder, "6", End(("seed=6",), record="gone"))
    sweeps.leave_lost(folder, "7", "Slurm: CANCELLED")
    found = standings(folder)
    assert [one.state for one in found] == [
        *("done", "done", "failed", "failed", "done", "lost", "lost", "lost", "lost")
    ]
    assert [one.why for one in found[2:4]] == ["expected better", "expected a seed"]
    assert found[6].why == "its record gone is gone"
    assert found[7].why == "Slurm: CANCELLED"
    assert found[0].record is not None
    assert found[0].record.resolve() == (folder.parents[1] / "noted").resolve()


def test_who_works_is_told_from_who_died(folder: Path) -> None:
    begin(folder, plan(folder, job("a"), job("b")))
    script = (
        "import sys, time; from pathlib import Path; from robench.run.sweeps import at_work\n"
        "with at_work(Path(sys.argv[1]), '0'): print('at work', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert states(folder) == ["running", "lost"]
        with sweeps.at_work(folder, sweeps.SWEEP):
            assert states(folder) == ["running", "waiting"]
            with pytest.raises(UserError, match="where no sweep is at work"):
                begin(folder, plan(folder, job("a"), job("b")))
        process.kill()
        process.wait()
    assert states(folder) == ["lost", "lost"]
    assert states(folder, {"0": "waiting", "1": "running"}) == ["waiting", "running"]


def test_of_sweeps_that_begin_at_once_in_one_folder_one_is_at_work(folder: Path) -> None:
    together = threading.Barrier(6, timeout=60)

    def tried(_: int) -> str:
        together.wait()
        with ExitStack() as working:
            try:
                working.enter_context(sweeps.begun(folder, plan(folder, job("a"))))
                return ""
            except UserError as error:
                return str(error)
            finally:
                together.wait()  # nobody ends before all have tried

    with ThreadPoolExecutor(6) as pool:
        said = sorted(pool.map(tried, range(6)))
    assert said[0] == ""
    assert all("expected a folder where no sweep is at work" in one for one in said[1:])
    assert not (folder / "sweep.alive").exists()


def test_another_machine_is_judged_by_the_clock_of_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(folder, plan(folder, job("a")))
    sign = folder / "0.alive"
    sign.write_text(json.dumps({"host": "elsewhere", "machine": "other", "pid": 1, "started": "1"}))
    # This machine's clock is a day ahead, and then a day late: the folder's own decides.
    for wrong in (86_400.0, -86_400.0):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        assert states(folder) == ["running"]
    old = life.now_in(folder) - life.SECONDS_ALIVE - 1
    os.utime(sign, (old, old))
    assert states(folder) == ["lost"]


def test_a_process_number_that_is_another_process_now_is_no_sign_of_life(tmp_path: Path) -> None:
    sign = tmp_path / "0.alive"
    with life.sign_of_life(sign):
        assert life.alive(sign) is True
        told = json.loads(sign.read_text())
        sign.write_text(json.dumps({**told, "started": "0"}))
        assert life.alive(sign) is False
    assert life.alive(sign) is None


def test_a_plan_of_other_jobs_or_of_another_version_is_refused(folder: Path) -> None:
    begin(folder, plan(folder, job("a")))
    begin(folder, plan(folder, job("a", before="x")))
    with pytest.raises(UserError, match="expected the plan of the same sweep"):
        begin(folder, plan(folder, job("b")))
    path = folder / sweeps.PLAN
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(UserError, match=r"expected a plan of version 1 .* got 2"):
        standings(folder)
    for text in ("", "[]", '{"version": 1}', '{"version": 1, "jobs": [{}], "results": ""}'):
        path.write_text(text)
        with pytest.raises(UserError, match="expected a sweep's plan"):
            standings(folder)


def test_shared_trainings_are_told_apart(folder: Path) -> None:
    asked = Plan("..", (job("a", needs=("x",)),), ("x", "y", "z", "u", "v"))
    begin(folder, asked)
    sweeps.leave_note(folder, "trainings/0", End(()))
    sweeps.leave_note(folder, "trainings/1", End((), error="bad"))
    sweeps.leave_lost(folder, "trainings/2", "Slurm: CANCELLED")
    with sweeps.at_work(folder, "trainings/3"):
        found = sweeps.trainings(folder, {"trainings/2": "waiting"})
    assert found == ["done", "failed", "waiting", "running", "waiting"]
    assert sweeps.trainings(folder)[2] == "lost"


def test_a_folder_without_a_plan_tells_what_its_notes_do(folder: Path) -> None:
    with pytest.raises(UserError, match="expected the folder of a sweep"):
        standings(folder)
    made(folder, "one")
    sweeps.leave_note(folder, "1", End(("seed=1",), error="bad"))
    sweeps.leave_note(folder, "0", End(("seed=0",), record="one"))
    assert states(folder) == ["done", "failed"]


DEEP = b"[" * 200_000
JOB = {
    "overrides": [], "id": "ab12", "needs": [], "refused": "", "before": "", "there": False,
}  # fmt: skip


@pytest.mark.parametrize("name", ["0.json", "0.lost", "0.alive", "sweep.alive"])
@pytest.mark.parametrize("harm", ["pipe", "zeros", "deep", "future"])
def test_what_lies_in_a_sweeps_folder_is_read_with_care(
    name: str, harm: str, tmp_path: Path
) -> None:
    begin(tmp_path, Plan("results", (Asked(("seed=0",), "ab12"),)))
    path = tmp_path / name
    match harm:
        case "pipe":
            os.mkfifo(path)
        case "zeros":
            path.symlink_to("/dev/zero")
        case "deep":
            path.write_bytes(DEEP)
        case _:
            path.write_text('{"host": "x", "machine": "y", "pid": Infinity, "started": 1}')
            os.utime(path, (4e9, 4e9))
    (found,) = standings(tmp_path)
    assert found.state == "lost"


@pytest.mark.parametrize(
    "told",
    [
        {"results": "a\0b"},
        {"results": 3},
        {"jobs": [{**JOB, "id": ["x"]}]},
        {"jobs": [{**JOB, "id": "../../etc"}]},
        {"jobs": [{**JOB, "id": "a\0b"}]},
        {"jobs": 7},
    ],
)
def test_a_plan_that_is_none_is_refused(told: dict[str, Any], tmp_path: Path) -> None:
    whole = {"version": 1, "results": "r", "jobs": [JOB], "trainings": [], **told}
    (tmp_path / "plan.json").write_text(json.dumps(whole))
    with pytest.raises(UserError, match="expected a sweep's plan"):
        standings(tmp_path)


@pytest.mark.parametrize("name", ["jobs", "results", "trainings", "version", *JOB])
def test_a_plan_without_a_field_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    whole: dict[str, Any] = {"version": 1, "results": "r", "jobs": [dict(JOB)], "trainings": []}
    del (whole if name in whole else whole["jobs"][0])[name]
    (tmp_path / "plan.json").write_text(json.dumps(whole))
    with pytest.raises(UserError, match="^expected a sweep's plan.*" + name) as refused:
        standings(tmp_path)
    assert "\n" not in str(refused.value)


def test_words_of_a_plan_are_one_line_and_a_record_that_is_gone_is_not_done(
    tmp_path: Path,
) -> None:
    jobs = [{**JOB, "refused": "no\n2 jobs, 0 failed"}, {**JOB, "there": True}]
    whole = {"version": 1, "results": "r", "jobs": jobs, "trainings": []}
    (tmp_path / "plan.json").write_text(json.dumps(whole))
    refused, gone = standings(tmp_path)
    assert refused.why == "no 2 jobs, 0 failed"
    assert gone.state == "lost"
