"""Claims of a paper as conditions on paired differences, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from robench.base.errors import UserError, bad_input
from robench.base.stats import Paired
from robench.studies.measures import Measure
from robench.studies.runs import Runs, Variant

Verdict = Literal["reproduced", "not reproduced", "not comparable"]


@dataclass(frozen=True)
class Observation:
    """What a condition saw: its numbers in words, and whether it holds (None: cannot be told)."""

    text: str
    holds: bool | None


Condition = Callable[[Runs], Observation]


@dataclass(frozen=True)
class Claim:
    """One claim: its words, and the conditions that must all hold."""

    name: str
    words: str
    conditions: Sequence[Condition]

    def judge(self, runs: Runs) -> tuple[Verdict, list[Observation]]:
        """Look at every condition: one that fails decides; else one that cannot be told."""
        seen = [_look(condition, runs) for condition in self.conditions]
        if any(one.holds is False for one in seen):
            return "not reproduced", seen
        if not seen or any(one.holds is None for one in seen):
            return "not comparable", seen
        return "reproduced", seen


def _look(condition: Condition, runs: Runs) -> Observation:
    try:
        with bad_input("expected a check that can be made"):
            return condition(runs)
    except UserError as error:  # a study's own code, on records that anybody may send
        return Observation(str(error), None)


@dataclass(frozen=True)
class Difference:
    """A condition on the paired difference first - second, in accuracy.

    It holds where the whole 95 % interval lies between the bounds, fails where all of it lies
    beyond one, and cannot be told where the images do not decide.
    """

    first: tuple[Variant, Measure]
    second: tuple[Variant, Measure]
    least: float = -1.0
    """The interval must lie above this (a share)."""
    most: float = 1.0
    """The interval must lie below this."""

    def __call__(self, runs: Runs) -> Observation:
        """Compare the two cells on the same images."""
        label = f"{_name(*self.first)} - {_name(*self.second)}"
        pair = runs.difference(self.first, self.second)
        if pair is None:
            return Observation(f"{label}: not run", None)
        text = f"{label}: {in_points(pair)}, expected {self._expected()}"
        if pair.low > self.least and pair.high < self.most:
            return Observation(text, True)
        if pair.high <= self.least or pair.low >= self.most:
            return Observation(text, False)
        return Observation(f"{text}: too few images to tell", None)

    def _expected(self) -> str:
        least, most = (f"{100 * bound:+g}" for bound in (self.least, self.most))
        if self.most >= 1.0:
            return f"above {least}"
        return f"below {most}" if self.least <= -1.0 else f"within {least} and {most}"


def in_points(pair: Paired) -> str:
    """A paired difference in percentage in_points with its 95 % interval."""
    return f"{100 * pair.difference:+.1f} [{100 * pair.low:+.1f}, {100 * pair.high:+.1f}]"


def _name(variant: Variant, measure: Measure) -> str:
    access = ", black box" if measure.access == "transfer" else ""
    return f"{variant.label} ({measure.label}{access})"
