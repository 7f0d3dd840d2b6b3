"""How long a user waits before anything happens: help pages, and a run whose steps are all cached.

    python benchmarks/startup.py [--rounds 7]

Whole processes, alternating; medians with their spread. The cached run stands beside a process that
only imports torch, since no run can be faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROBENCH = [sys.executable, "-m", "robench"]
RUN = [*ROBENCH, "run", "attack=[fgsm,pgd,cw]", "metric=[accuracy,latency,size]", "threads=1"]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def show(name: str, times: list[float], target: str) -> None:
    middle = statistics.median(times)
    print(f"{name:<34}{middle:6.2f} s  ({min(times):.2f} to {max(times):.2f}); target {target}")


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
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, command in sides.items():
                times[name].append(seconds(command))
    show("robench --help", times["help"], "at most 0.3 s")
    show("robench run --help", times["run help"], "at most 0.6 s")
    beyond = [c - t for c, t in zip(times["cached"], times["torch"], strict=True)]
    show("import torch", times["torch"], "none")
    show("a cached run beyond import torch", beyond, "at most 3 s")


if __name__ == "__main__":
    main()
