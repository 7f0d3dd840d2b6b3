"""The checks of an audit, one after the other, and what follows from all of them."""

from __future__ import annotations

from collections.abc import Iterable

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
    for check in checks:
        if any(check is one for one in OWN):
            trial.findings += guest.collect(check, check.look, trial)
        else:
            known = {finding.check for finding in trial.findings}
            trial.findings += guarded.look(check, trial, known)
    return settled(trial.findings)
