"""The audit against networks of known truth: `python -m benchmarks.audit.calibrate`.

Prints the tables of docs/explanation/audit.md: each network of the zoo of tests/audit, what is true
of it (`truth.py`), what the audit says, with several seeds, and what it missed and slandered. With
`--unseen FOLDER` the networks are somebody else's and so is their truth (`unseen.py`). `--digest`
prints the digest of the audit's limits (`limits.py`), and where they are not as they were judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.audit.limits import apart, judged, limits, name_of
from benchmarks.audit.truth import measured
from benchmarks.audit.unseen import unseen
from robench.audit.best_row import best_row
from robench.audit.checks.together import by_checks
from robench.audit.verdict import settled
from robench.base.seeds import generator, seed_scope
from robench.core.record import Finding, worst
from robench.core.threat import Threat
from robench.search import GradientSearch
from tests.audit.zoo import MASKED, Zoo
from tests.audit.zoo.audited import Result, examined
from tests.audit.zoo.exhibit import Exhibit
from tests.audit.zoo.lessons import Lesson, digits, mnist

EPS = {
    ("digits", "linf"): 0.15,
    ("digits", "l2"): 0.8,
    ("mnist", "linf"): 0.2,
    ("mnist", "l2"): 2.0,
}


@dataclass(frozen=True)
class Case:
    """A network under a threat, and what is true of it: accuracies in [0,1]."""

    name: str
    data: str
    build: Callable[[], Exhibit]
    """Makes the network anew: one that remembers has met no audit then."""
    lesson: Lesson
    built: str
    """masks, or no trick."""
    truth: str
    """masked, honest or unclear."""
    naive: float
    adaptive: float


@dataclass(frozen=True)
class Told:
    """What one audit of a case said."""

    case: Case
    level: str
    seed: int
    findings: tuple[Finding, ...]
    audited: float

    @property
    def verdict(self) -> str:
        """The gravest of its findings."""
        return worst(finding.verdict for finding in self.findings)


def main() -> None:
    options = _options()
    if options.digest:
        print(limits_line())
        return
    torch.set_num_threads(1)
    print(
        "| network | data | norm | built | truth | PGD-40 | adaptive | level | verdicts | audited |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    told: list[Told] = []
    for case in unseen(options.unseen, options) if options.unseen else seen(options):
        for level in options.levels.split(","):
            seeds = range(options.seeds if level == "quick" else 1)
            told += (mine := [audit(case, level, seed) for seed in seeds])
            print(row(mine), flush=True)
    for level in options.levels.split(","):
        print("\n" + confusion([one for one in told if one.level == level], level))
    print("\n" + "\n".join(errors(told)))
    print(f"\nLimits: {limits_line()}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, help="folder of MNIST; without it, digits")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--eps", type=float, help="instead of the data set's")
    parser.add_argument("--norm", default="linf", help="linf or l2")
    parser.add_argument("--seed", type=int, default=1, help="which test images are drawn")
    parser.add_argument("--seeds", type=int, default=3, help="quick audits of each network")
    parser.add_argument("--levels", default="quick,full")
    parser.add_argument("--models", help="names, comma-separated; default all")
    parser.add_argument("--unseen", type=Path, help="folder of networks the audit has not met")
    parser.add_argument("--digest", action="store_true", help="print the limits' digest alone")
    return parser.parse_args()


def limits_line() -> str:
    """The digest of the limits as they are, and a line for each that is not as it was judged."""
    return "\n".join([name_of(limits()), f"judged: {name_of(judged())}", *apart()])


def seen(options: argparse.Namespace) -> Iterator[Case]:
    """The zoo's networks, attacked first in every way to learn the truth."""
    which = {"test": options.images, "seed": options.seed}
    name = "mnist" if options.root else "digits"
    eps = options.eps or EPS[name, options.norm]
    # What is trained against examples is trained against the usual ones.
    usual = EPS[name, "linf"]
    lesson = mnist(options.root, eps=usual, **which) if options.root else digits(eps=usual, **which)
    zoo = Zoo(lesson)
    attacked = replace(lesson, threat=Threat(options.norm, eps))
    for one in options.models.split(",") if options.models else zoo.names:
        exhibit = zoo.build(one)
        truth = measured(exhibit, attacked)
        built = "masks" if one in MASKED else "no trick"
        naive, adaptive = (float(held.float().mean()) for held in (truth.naive, truth.adaptive))
        yield Case(
            one, name, partial(zoo.build, one), attacked, built, truth.name(built), naive, adaptive
        )


def audit(case: Case, level: str, seed: int) -> Told:
    """Audit a network as a run whose row is PGD with 40 steps would."""
    result = examined(case.build(), case.lesson, level, seed)
    held = result.trial.held & _row(case, result, seed)
    checked = (result.trial.clean & ~by_checks(result.trial)).numpy()
    alone = {name: right.numpy() for name, right in result.trial.alone.items()}
    row = {"pgd": _row(case, result, seed).numpy()}
    findings = settled(
        (*result.findings, *best_row(row, alone, checked, level)), thrifty=level == "quick"
    )
    return Told(case, level, seed, findings, float(held.float().mean()))


def _row(case: Case, result: Result, seed: int) -> Tensor:
    trial, rng = result.trial, generator(seed, "row")
    index = trial.clean.nonzero()[:, 0]
    search = GradientSearch(steps=40, step=2.5, random_start=True, best=not trial.randomised)
    right = trial.clean.clone()
    if len(index):
        images, labels = trial.images[index], trial.labels[index]
        with seed_scope(seed):
            found = search.run(trial.system.twin, images, labels, trial.threat, rng)
            right[index] = ~trial.wrong(trial.threat.project(found, images), index)
    return right


def row(told: list[Told]) -> str:
    """A row of the Markdown table, accuracies in percent, verdicts and audits of each seed."""
    case, percent = told[0].case, [f"{100 * one.audited:.0f}" for one in told]
    cells = [case.name, case.data, case.lesson.threat.norm, case.built, case.truth]
    cells += [f"{100 * case.naive:.0f}", f"{100 * case.adaptive:.0f}", told[0].level]
    cells += [", ".join(one.verdict for one in told), ", ".join(percent)]
    return "| " + " | ".join(cells) + " |"


def confusion(told: list[Told], level: str) -> str:
    """Counts of verdicts by truth, one an audit, as a Markdown table."""
    rows = [f"| {level} | fail | suspect | pass |", "|---|---|---|---|"]
    for truth in ("masked", "honest", "unclear"):
        found = [one.verdict for one in told if one.case.truth == truth]
        counts = [str(found.count(verdict)) for verdict in ("fail", "suspect", "pass")]
        if found:
            rows.append(f"| {truth} | " + " | ".join(counts) + " |")
    return "\n".join(rows)


def errors(told: list[Told]) -> Iterator[str]:
    """Each masked network that passed and each honest one that did not, with the reasons."""
    for one in told:
        wrong = {"masked": one.verdict == "pass", "honest": one.verdict != "pass"}
        if wrong.get(one.case.truth, False):
            reasons = [
                f"{finding.check} {finding.verdict} {finding.value or 0:.2f} from {finding.low}"
                for finding in one.findings
                if finding.verdict != "pass"
            ]
            word = "missed" if one.case.truth == "masked" else "slandered"
            where = f"{one.case.data} {one.case.lesson.threat.norm} {one.level} seed {one.seed}"
            audited = f"audited {one.audited:.2f}, truth {one.case.adaptive:.2f}"
            yield f"{word}: {one.case.name} ({where}; {audited}): {'; '.join(reasons)}"


if __name__ == "__main__":
    main()
