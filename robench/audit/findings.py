"""The checks of an audit, one after the other, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from robench.audit import guarded
from robench.audit.checks import CHECKS
from robench.audit.trial import SystemTrial
from robench.audit.verdict import settled
from robench.core.record import Finding
from robench.plugin import guest
from robench.plugin.components import Check

OWN = tuple(check for checks in CHECKS.values() for check in checks)
"""The audit's own checks, which work on the trial itself."""


def findings_of(trial: SystemTrial, checks: Iterable[Check]) -> tuple[Finding, ...]:
    """Let checks look at a trial, those of plugins at a guarded one; raises PluginError."""
    for own, group in groupby(checks, key=lambda check: any(check is one for one in OWN)):
        if own:
            # One call for all: to read the state of the process takes as long as a small check.
            guest.call("the audit", _look, trial, group)
            continue
        for check in group:
            known = {finding.check for finding in trial.findings}
            trial.findings += guarded.look(check, trial, known)
    return settled(trial.findings, thrifty=trial.thrifty)


def _look(trial: SystemTrial, checks: Iterable[Check]) -> None:
    for check in checks:
        trial.findings += check.look(trial)
