"""A sweep of 24 jobs, run as its user would, and looked at while it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SWEEP = [
    *("defense=none,gaussian_training", "seed=0,1,2", "train.epochs=2,3", "attack=fgsm,pgd"),
    *("attack.pgd.steps=5", "images=60", "threads=1", "audit=off"),
]
JOBS = 24
PATIENCE = 900.0
"""Seconds that anything here may take, on a machine with other things to do."""


@dataclass
class Sweep:
    """One start of the sweep, with a results and a cache folder of its own below `root`."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    process: subprocess.Popen[str] | None = None

    @property
    def folder(self) -> Path:
        return self.root / "results" / "sweeps" / "one"

    def start(self, *launcher: str) -> subprocess.Popen[str]:
        self.process = self._started(*launcher)
        return self.process

    def end(self) -> None:
        """End a sweep that still runs, after a test that failed."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _started(self, *launcher: str) -> subprocess.Popen[str]:
        with (self.root / "out").open("a") as out:
            command = ["run", "-m", *SWEEP, *launcher, f"hydra.sweep.dir={self.folder}"]
            return subprocess.Popen(
                [sys.executable, "-m", "robench", *command],
                env=self._env,
                cwd=self.root,
                stdout=out,
                stderr=out,
                text=True,
                preexec_fn=_interruptible,
            )

    @property
    def _env(self) -> dict[str, str]:
        places = {"ROBENCH_RESULTS": str(self.root / "results")}
        return {**self.env, **places, "ROBENCH_CACHE": str(self.root / "cache")}

    def status(self) -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "robench", "sweep", "status", str(self.folder), "--json"]
        said = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)
        found: list[dict[str, Any]] = json.loads(said.stdout)
        return found

    def said(self) -> str:
        return (self.root / "out").read_text()

    def at_work(self, kind: str) -> Iterator[tuple[str, int]]:
        """Parts that work now, and their processes: 'trainings' or 'jobs'."""
        below = self.folder / "trainings" if kind == "trainings" else self.folder
        for sign in below.glob("*.alive"):
            try:
                pid = int(json.loads(sign.read_text())["pid"])
            except (OSError, ValueError):
                continue
            if Path(f"/proc/{pid}").exists():
                yield sign.stem, pid

    def next_at_work(self, kind: str, seen: set[str]) -> tuple[str, int]:
        """The next part of a kind that begins to work."""

        def fresh() -> tuple[str, int] | None:
            assert self.process is not None
            assert self.process.poll() is None, self.said()
            known = {part for part, _ in self.at_work(kind)} - seen - {"sweep"}
            return next(((p, pid) for p, pid in self.at_work(kind) if p in known), None)

        found = until(fresh, f"the next of {kind}")
        seen.add(found[0])
        return found

    def records(self) -> dict[str, Any]:
        """Every record without its timings, by id."""
        found = {}
        for path in (self.root / "results").glob("[!.]*/record.json"):
            record = json.loads(path.read_text())
            del record["timings"]
            # Whether the working tree was as committed: somebody may work in it meanwhile.
            del record["provenance"]["commit"]
            for part in (*record["rows"], *record["audit"]):
                del part["seconds"]
            found[path.parent.name] = record
        return found

    def made(self) -> dict[str, int]:
        """When each record was written."""
        paths = (self.root / "results").glob("[!.]*/record.json")
        return {path.parent.name: path.stat().st_mtime_ns for path in paths}


def _interruptible() -> None:
    """Take Ctrl-C, which a shell has its background jobs ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(ask: Callable[[], Any], what: str) -> Any:
    """The first answer that is something; raises when it takes too long."""
    end = time.monotonic() + PATIENCE
    while not (found := ask()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)
    return found


def undisturbed(root: Path) -> Sweep:
    """The same sweep, one job after the other, with nobody in its way."""
    root.mkdir()
    sweep = Sweep(root)
    assert sweep.start().wait(PATIENCE) == 0, sweep.said()
    assert len(sweep.records()) == JOBS
    return sweep
