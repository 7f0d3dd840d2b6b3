"""Claims of a paper as checks on paired differences, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from robench.base.stats import Paired
from robench.studies.runs import Column, Runs, System

Verdict = Literal["reproduced", "not reproduced", "not comparable"]


@dataclass(frozen=True)
class Finding:
    """How one check ended: its numbers in words, and whether it holds (None: cannot be told)."""

    text: str
    holds: bool | None


Check = Callable[[Runs], Finding]


@dataclass(frozen=True)
class Claim:
    """One claim: its words, and the checks that must all hold."""

    name: str
    words: str
    checks: Sequence[Check]
    reason: str = ""
    """Why it is not reproduced or not comparable, where that is known."""

    def judge(self, runs: Runs) -> tuple[Verdict, list[Finding]]:
        """Run every check: one that fails decides; else one that cannot be told."""
        findings = [check(runs) for check in self.checks]
        if any(finding.holds is False for finding in findings):
            return "not reproduced", findings
        if not findings or any(finding.holds is None for finding in findings):
            return "not comparable", findings
        return "reproduced", findings


@dataclass(frozen=True)
class Difference:
    """A check on the paired difference first - second, in accuracy.

    It holds where the whole 95 % interval lies between the bounds, fails where all of it lies
    beyond one, and cannot be told where the images do not decide.
    """

    first: tuple[System, Column]
    second: tuple[System, Column]
    least: float = -1.0
    """The interval must lie above this (a share)."""
    most: float = 1.0
    """The interval must lie below this."""

    def __call__(self, runs: Runs) -> Finding:
        """Compare the two cells on the same images."""
        label = f"{_name(*self.first)} - {_name(*self.second)}"
        pair = runs.difference(self.first, self.second)
        if pair is None:
            return Finding(f"{label}: not run", None)
        text = f"{label}: {points(pair)}, expected {self._expected()}"
        if pair.low > self.least and pair.high < self.most:
            return Finding(text, True)
        if pair.high <= self.least or pair.low >= self.most:
            return Finding(text, False)
        return Finding(f"{text}: too few images to tell", None)

    def _expected(self) -> str:
        least, most = (f"{100 * bound:+g}" for bound in (self.least, self.most))
        if self.most >= 1.0:
            return f"above {least}"
        return f"below {most}" if self.least <= -1.0 else f"within {least} and {most}"


def points(pair: Paired) -> str:
    """A paired difference in percentage points with its 95 % interval."""
    return f"{100 * pair.difference:+.1f} [{100 * pair.low:+.1f}, {100 * pair.high:+.1f}]"


def _name(system: System, column: Column) -> str:
    access = ", black box" if column.access == "transfer" else ""
    return f"{system.label} ({column.label}{access})"
