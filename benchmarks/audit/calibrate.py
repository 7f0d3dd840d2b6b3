"""The audit against the zoo of tests/audit: python -m benchmarks.audit.calibrate [--help].

Prints the table and the confusion counts of docs/explanation/audit.md. The truth of every model is
measured first (`truth.py`), whatever it was built to be.
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.audit.truth import Field, Truth, measured
from robench.audit.best_row import best_row
from robench.audit.verdict import worst
from robench.base.seeds import generator, seed_scope
from robench_attacks.autoattack import ArtAutoAttack
from tests.audit.zoo import MASKED, Zoo
from tests.audit.zoo.audited import Result, examined
from tests.audit.zoo.exhibit import Exhibit
from tests.audit.zoo.lessons import Lesson, digits, mnist


@dataclass(frozen=True)
class Line:
    """One model's row of the table."""

    name: str
    truth: Truth
    autoattack: str
    """Accuracy in percent that ART's AutoAttack leaves."""
    audits: dict[str, Result]
    """By level, as of a run whose row is PGD with 40 steps."""


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
    print("| model | built | truth | clean | PGD-40 | adaptive | ART AutoAttack |", end="")
    print("".join(f" {level}: verdict | audited |" for level in levels))
    print("|---|---|---|---|---|---|---|" + "---|---|" * len(levels))
    for name in options.models.split(",") if options.models else zoo.names:
        lines.append(measure(zoo.build(name), lesson, levels, autoattack=not options.no_art))
        print(text(lines[-1]), flush=True)
    for level in levels:
        print("\n" + confusion(lines, level))
    print("\n" + "\n".join(reasons(line) for line in lines))


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
    truth = measured(exhibit, lesson)
    art = _art(exhibit, lesson) if autoattack else "-"
    results = {
        level: _with_row(examined(exhibit, lesson, level), truth.naive, level) for level in levels
    }
    return Line(exhibit.name, truth, art, results)


def _with_row(result: Result, naive: Tensor, level: str) -> Result:
    held = result.trial.held.numpy()
    alone = {name: right.numpy() for name, right in result.trial.alone.items()}
    findings = (*result.findings, *best_row({"pgd": naive.numpy()}, alone, held, level))
    return Result(result.trial, findings, worst(finding.verdict for finding in findings))


def _art(exhibit: Exhibit, lesson: Lesson) -> str:
    twin, test = exhibit.system.twin, lesson.test
    # It raises without a gradient, and on probabilities in place of logits.
    with seed_scope(0), suppress(RuntimeError, ValueError):
        images, rng = test.float_images(), generator(0, "art")
        found = ArtAutoAttack().run(twin, images, test.labels, lesson.threat, rng)
        return percent(Field(exhibit, lesson).holds(found))
    return "raises"


def percent(held: Tensor) -> str:
    return f"{100 * float(held.float().mean()):.0f}"


def text(line: Line) -> str:
    """A row of the Markdown table, accuracies in percent."""
    truth = line.truth
    cells = [line.name, "masks" if line.name in MASKED else "no trick", truth.name]
    cells += [percent(held) for held in (truth.clean, truth.naive, truth.adaptive)]
    cells.append(line.autoattack)
    for result in line.audits.values():
        cells += [result.verdict, percent(result.trial.held)]
    return "| " + " | ".join(cells) + " |"


def reasons(line: Line) -> str:
    """Which findings of which level were not `pass`."""
    parts = [
        f"{level} {finding.check} {finding.verdict} {finding.value:.2f} from {finding.low:.2f}"
        for level, result in line.audits.items()
        for finding in result.findings
        if finding.verdict != "pass"
    ]
    return f"{line.name}: " + "; ".join(parts)


def confusion(lines: list[Line], level: str) -> str:
    """Counts of verdicts by measured truth, as a Markdown table."""
    rows = [f"| {level} | fail | suspect | pass |", "|---|---|---|---|"]
    for truth in ("masked", "honest", "unclear"):
        found = [line.audits[level].verdict for line in lines if line.truth.name == truth]
        counts = [str(found.count(verdict)) for verdict in ("fail", "suspect", "pass")]
        if found:
            rows.append(f"| {truth} | " + " | ".join(counts) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
