"""How long a user waits before anything happens: help pages, and a run whose steps are all cached.

    python benchmarks/startup.py [--rounds 7]

Whole processes, alternating; medians with their spread, in seconds of wall clock and of CPU, which
other processes disturb less. The cached run stands beside a process that only imports torch.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROBENCH = [sys.executable, "-m", "robench"]
RUN = [*ROBENCH, "run", "attack=[fgsm,pgd,cw]", "metric=[accuracy,latency,size]", "threads=1"]


class Seconds(NamedTuple):
    """What a process took."""

    wall: float
    cpu: float

    def __sub__(self, other: Seconds) -> Seconds:
        return Seconds(self.wall - other.wall, self.cpu - other.cpu)


def seconds(command: list[str]) -> Seconds:
    begin = now()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return now() - begin


def now() -> Seconds:
    """The clock, and the CPU time of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(time.perf_counter(), used.ru_utime + used.ru_stime)


def show(name: str, times: list[Seconds], target: str) -> None:
    walls, cpus = zip(*times, strict=True)
    print(
        f"{name:<34}{statistics.median(walls):6.2f} s  ({min(walls):.2f} to {max(walls):.2f}), "
        f"CPU {statistics.median(cpus):.2f} s ({min(cpus):.2f}); target {target}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"ROBENCH_CACHE": f"{folder}/cache", "ROBENCH_RESULTS": f"{folder}/results"}
        seconds(RUN)
        sides = {
            "help": [*ROBENCH, "--help"],
            "run help": [*ROBENCH, "run", "--help"],
            "torch": [sys.executable, "-c", "import torch"],
            "cached": RUN,
        }
        times: dict[str, list[Seconds]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, command in sides.items():
                times[name].append(seconds(command))
    show("robench --help", times["help"], "at most 0.3 s")
    show("robench run --help", times["run help"], "at most 0.6 s")
    beyond = [c - t for c, t in zip(times["cached"], times["torch"], strict=True)]
    show("import torch", times["torch"], "none")
    show("a cached run beyond import torch", beyond, "at most 1 s")


if __name__ == "__main__":
    main()
