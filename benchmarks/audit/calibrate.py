"""The audit against the zoo of tests/audit: python -m benchmarks.audit.calibrate [--help].

Prints the table and the confusion counts of docs/explanation/audit.md. The truth of every model is
checked first: a masked one must resist PGD with 40 steps and fall to an attacker who knows its
trick; an honest one must leave the two about the same.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from robench.audit.judge import Judge
from robench.search import GradientSearch
from robench.seeds import generator, seed_scope
from robench.stats import paired
from robench_attacks.autoattack import ArtAutoAttack
from tests.audit.zoo import Exhibit, Lesson, Zoo, digits, examined, mnist

APART = 0.1
"""What PGD must leave more than the adaptive attack, at the interval's lower end, in a masked
model; and at most, as an estimate, in an honest one."""


@dataclass(frozen=True)
class Line:
    """One model's row of the table."""

    exhibit: Exhibit
    clean: float
    pgd: float
    adaptive: float
    autoattack: float | None
    true: bool
    """Whether the model is what it is meant to be."""
    audits: dict[str, tuple[str, float]]
    """Verdict and audited accuracy by level."""


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    which = {"test": options.images, "seed": options.seed}
    if options.root:
        lesson = mnist(options.root, eps=options.eps or 0.2, **which)
    else:
        lesson = digits(eps=options.eps or 0.15, **which)
    zoo = Zoo(lesson)
    levels = options.levels.split(",")
    lines = []
    print("| model | truth | clean | PGD-40 | adaptive | ART AutoAttack |", end="")
    print("".join(f" {level}: verdict | audited |" for level in levels))
    print("|---|---|---|---|---|---|" + "---|---|" * len(levels))
    for name in options.models.split(",") if options.models else zoo.names:
        lines.append(measure(zoo.build(name), lesson, levels, autoattack=not options.no_art))
        print(text(lines[-1]), flush=True)
    for level in levels:
        print("\n" + confusion(lines, level))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of MNIST; without it, digits")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--eps", type=float, help="Linf; default 0.15 on digits, 0.2 on MNIST")
    parser.add_argument("--seed", type=int, default=1, help="which test images are drawn")
    parser.add_argument("--levels", default="quick,full")
    parser.add_argument("--models", help="names, comma-separated; default all")
    parser.add_argument("--no-art", action="store_true", help="leave out ART's AutoAttack")
    return parser.parse_args()


def measure(exhibit: Exhibit, lesson: Lesson, levels: list[str], *, autoattack: bool) -> Line:
    """Attack one model in every way and audit it."""
    with seed_scope(0):
        judge = Judge(exhibit.system.deployed, exhibit.system.deployed.randomised)
        images, labels = lesson.test.float_images(), lesson.test.labels
        clean = judge.right(images, labels)

        def holds(candidates: Tensor) -> Tensor:
            return clean & ~judge.wrong(lesson.threat.project(candidates, images), labels)

        pgd = GradientSearch(steps=40, step=2.5, random_start=True)
        rng = generator(0, "calibrate")
        twin = exhibit.system.twin
        naive = holds(pgd.run(twin, images, labels, lesson.threat, rng))
        adaptive = clean.clone()
        for loss in ("margin", "cross_entropy"):
            search = GradientSearch(
                steps=60,
                step=4,
                random_start=True,
                loss=loss,
                samples=exhibit.samples,
                best=exhibit.samples == 1,
            )
            found = search.run(exhibit.adaptive, images, labels, lesson.threat, rng)
            adaptive &= holds(found)
        if exhibit.black_box:
            adaptive &= holds(_square(exhibit, lesson))
        art = None
        if autoattack:
            with suppress(RuntimeError, ValueError):  # no gradient, or probabilities for logits
                found = ArtAutoAttack().run(twin, images, labels, lesson.threat, rng)
                art = float(holds(found).float().mean())
    pair = paired(naive.numpy(), adaptive.numpy())
    results = {level: examined(exhibit, lesson, level) for level in levels}
    return Line(
        exhibit,
        float(clean.float().mean()),
        float(naive.float().mean()),
        float(adaptive.float().mean()),
        art,
        pair.low > APART if exhibit.masked else pair.difference <= APART,
        {n: (r.verdict, float(r.trial.held.float().mean())) for n, r in results.items()},
    )


def _square(exhibit: Exhibit, lesson: Lesson) -> Tensor:
    from robench.search import SquareSearch
    from robench.system import forward

    images, labels = lesson.test.float_images(), lesson.test.labels
    search = SquareSearch(queries=2000)
    rng = generator(0, "square")
    twin = exhibit.system.twin
    return search.run(lambda x: forward(twin, x), images, labels, lesson.threat, rng)


def text(line: Line) -> str:
    """A row of the Markdown table, accuracies in percent."""
    truth = "masked" if line.exhibit.masked else "honest"
    cells = [line.exhibit.name, truth if line.true else f"not {truth}: left out"]
    numbers = (line.clean, line.pgd, line.adaptive, line.autoattack)
    cells += ["raises" if number is None else f"{100 * number:.0f}" for number in numbers]
    for verdict, held in line.audits.values():
        cells += [verdict, f"{100 * held:.0f}"]
    return "| " + " | ".join(cells) + " |"


def confusion(lines: list[Line], level: str) -> str:
    """Counts of verdicts by truth, as a Markdown table."""
    rows = [f"| {level} | fail | suspect | pass |", "|---|---|---|---|"]
    for masked in (True, False):
        found = [x.audits[level][0] for x in lines if x.true and x.exhibit.masked == masked]
        counts = [str(found.count(verdict)) for verdict in ("fail", "suspect", "pass")]
        rows.append(f"| {'masked' if masked else 'honest'} | " + " | ".join(counts) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
