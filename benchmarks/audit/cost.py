"""What audit=quick costs against PGD with 40 steps: python -m benchmarks.audit.cost [--root DIR].

Both run in this process in turn on the same images, in CPU seconds; the ratio's median and range
over the repetitions are printed. The networks are the zoo's.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from robench.base.seeds import generator
from robench.search import GradientSearch
from tests.audit.zoo import Zoo
from tests.audit.zoo.audited import examined
from tests.audit.zoo.exhibit import Exhibit
from tests.audit.zoo.lessons import Lesson, digits, mnist

MODELS = (
    "plain",
    "ptq8",
    "scaled_logits",
    "shattered",
    "winners",
    "random_pruning",
    "random_input",
    "smoothed",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of MNIST; without it, digits")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--models", default=",".join(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    lesson = mnist(options.root, options.images) if options.root else digits(options.images, 0.15)
    zoo = Zoo(lesson)
    print("| model | PGD-40, CPU s | quick / PGD-40: median (range) |")
    print("|---|---|---|")
    for name in options.models.split(","):
        print(line(name, zoo.build(name), lesson, options.repeats), flush=True)


def line(name: str, exhibit: Exhibit, lesson: Lesson, repeats: int) -> str:
    """A row of the table; the first repetition warms up and does not count."""
    pairs = [
        (seconds(lambda: pgd(exhibit, lesson)), seconds(lambda: examined(exhibit, lesson)))
        for _ in range(repeats + 1)
    ][1:]
    ratios = [audit / attack for attack, audit in pairs]
    middle = statistics.median(ratios)
    attack = statistics.median(attack for attack, _ in pairs)
    return f"| {name} | {attack:.2f} | {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the work, in this process and in those that it started."""
    start, before = time.process_time(), os.times()
    work()
    own = time.process_time() - start
    gc.collect()  # a process is ended, and its time is known, when nothing holds it any more
    return own + sum(os.times()[2:4]) - sum(before[2:4])


def pgd(exhibit: Exhibit, lesson: Lesson) -> None:
    """PGD with 40 steps on the images that the audit works on, judged as a run judges."""
    search = GradientSearch(steps=40, step=2.5, random_start=True)
    images, labels = lesson.test.float_images(), lesson.test.labels
    rng = generator(0, "cost")
    found = search.run(exhibit.system.twin, images, labels, lesson.threat, rng)
    exhibit.system.deployed.predict(lesson.threat.project(found, images))


if __name__ == "__main__":
    main()
