"""A Slurm of one node in a temporary folder: its daemons started by hand, no accounting."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
CONF = """\
ClusterName=robench
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
MinJobAge=7200
MpiDefault=none
SchedulerParameters=batch_sched_delay=1,sched_interval=5,bf_interval=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=8000 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=high Nodes={host} PriorityTier=10 MaxTime=INFINITE State=UP
"""


def reason_to_skip() -> str:
    """Why no Slurm can be set up here; empty where one can."""
    if os.geteuid():
        return "Slurm is set up as root alone"
    missing = [name for name in NEEDED if _found(name) is None]
    return f"needs {', '.join(missing)} (slurmctld, slurmd, munge, slurm-client)" if missing else ""


@contextmanager
def running(root: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """Start it; yields the environment of its clients, and ends all of it afterwards."""
    env = {**os.environ, "SLURM_CONF": str(root / "slurm.conf")}
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        with (root / f"{Path(command[0]).name}.out").open("ab") as out:
            processes.append(subprocess.Popen(command, env=env, stdout=out, stderr=out))

    try:
        _write(root, cpus)
        start(_of("munged"), "--foreground", "--force", *_munge_places(root))
        _until(lambda: (root / "munge.socket").exists(), "munged", root)
        start(_of("slurmctld"), "-D")
        start(_of("slurmd"), "-D", "-N", socket.gethostname())
        _until(lambda: "idle" in _said(env), "slurmd", root)
        yield env
    finally:
        subprocess.run(["scancel", "--user", "root"], env=env, check=False, capture_output=True)
        time.sleep(1)
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _write(root: Path, cpus: int) -> None:
    for name in ("state", "spool"):
        (root / name).mkdir()
    root.chmod(0o755)
    key = root / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    text = CONF.format(host=socket.gethostname(), root=root, cpus=cpus, ports=_free_ports(2))
    (root / "slurm.conf").write_text(text)


def _munge_places(root: Path) -> list[str]:
    names = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
    names["seed-file"] = "seed"
    return [f"--{option}={root}/munge.{name}" for option, name in names.items()]


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _until(holds: object, what: str, root: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        if time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-800:] for path in root.glob("*.out"))
            raise RuntimeError(f"{what} did not start: {logs}")
        time.sleep(0.2)


def _said(env: dict[str, str]) -> str:
    asked = subprocess.run(["sinfo", "-h", "-o", "%t"], env=env, capture_output=True, text=True)
    return asked.stdout


def _found(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _of(name: str) -> str:
    found = _found(name)
    assert found is not None
    return found
