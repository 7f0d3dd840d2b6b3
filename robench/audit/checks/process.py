"""Does the system answer otherwise in a process where it was asked nothing?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch

from robench.audit.checks.memory import REMEMBERS, TIRES
from robench.audit.contest import FAIL, SUSPECT, failed, next_to_nothing
from robench.audit.fork import Beside, Fork, NotForked, answers
from robench.audit.unasked import NotCopied
from robench.audit.verdict import difference, share_finding
from robench.base.seeds import derive
from robench.core.record import Finding
from robench.plugin.components import Check
from robench.plugin.trial import Trial

if TYPE_CHECKING:
    from robench.audit.trial import SystemTrial

PROCESS, PROCESS_TIRES = "process", "process_tires"
"""Names among the findings: of answers, and of what a search reads."""
BENT = 0.05
"""Part of a gradient by which it is another one."""
LIMITS = {"suspect": SUSPECT, "fail": FAIL}
NONE = {"suspect": 1.0}
MOVES = 50
"""Moves of the search in the process that tells how much a memory hides."""


@dataclass(frozen=True, kw_only=True)
class FreshProcess(Check):
    """Attacked images asked of the system, and of itself as it was, in a process forked off then.

    It shows a memory wherever it is kept, if not in a file; `Memory` has compared already what it
    could copy. A system of which all that it keeps is seen has no process: what it took in since is
    compared with a copy. Where nothing differs nothing is said, and where no answer comes it is
    suspect; a thrifty audit does not ask of what has failed, or is broken, already.
    """

    images: int = 15
    """Images whose gradients are compared."""

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy of the system minus that of itself in the process, on the same images.

        And, where gradients there are others, the accuracy there that a search on the system
        leaves minus that of one there. What is wrong there counts as broken.
        """
        # One of the audit's own: nobody else may count candidates that the system gets right.
        trial = cast("SystemTrial", trial)
        compared = any(finding.check == TIRES for finding in trial.findings)
        if compared or len(trial.reference.index) == 0:
            return ()
        if trial.thrifty and (failed(trial) or next_to_nothing(trial)):
            return ()
        names = (PROCESS, PROCESS_TIRES) if trial.fork else (REMEMBERS, TIRES)
        try:
            other = trial.fork or _copy(trial)
            return () if other is None else self._compared(trial, other, *names)
        except (NotForked, NotCopied):
            # It answers here, and nobody can vouch for what keeps it from answering there.
            silent = share_finding(names[0], 0, 0, **NONE)
            return (silent.model_copy(update={"verdict": "suspect"}),)

    def _compared(
        self, trial: SystemTrial, other: Fork | Beside, answers_name: str, search_name: str
    ) -> list[Finding]:
        index, candidates = trial.reference.index, trial.reference.candidates
        seed = derive(trial.seed, "audit", PROCESS)
        labels, found = trial.labels[index], []
        here, gradient = answers(trial.system, candidates, labels, self.images, seed)
        there, true = other.first(candidates, labels, self.images, seed)
        if not torch.equal(here, there):
            found.append(difference(answers_name, here == labels, there == labels, **LIMITS))
        bent = (gradient - true).flatten(1).norm(dim=1) > BENT * true.flatten(1).norm(dim=1)
        # What draws by a generator of its own has other draws there.
        search = any(one.verdict != "pass" for one in found) if trial.randomised else True
        if search and (found or bool(bent.any())):
            found.append(_searched(trial, other, seed, search_name))
        return found


def _copy(trial: SystemTrial) -> Beside | None:
    """The system as it was, where all that it keeps is seen and something of it has changed."""
    if trial.unasked is None or not trial.unasked.in_sight or not trial.unasked.changed():
        return None
    return Beside(trial.unasked.forgetting())


def _searched(trial: SystemTrial, other: Fork | Beside, seed: int, name: str) -> Finding:
    """What a search on the system leaves of the other, minus what one there does."""
    index, reference = trial.reference.index, trial.reference
    images, labels = trial.images[index], trial.labels[index]
    search = replace(trial.usual, steps=MOVES)
    found = other.candidates(search, images, labels, trial.threat, seed)
    usual = other.candidates(trial.usual, images, labels, trial.threat, seed)
    wrong = [other.labels(each, seed) != labels for each in (reference.candidates, usual, found)]
    if not trial.randomised:
        for broken, candidates in zip(wrong, (reference.candidates, usual, found), strict=True):
            trial.count(PROCESS, candidates, index, broken)
    return difference(name, ~wrong[0], ~wrong[1], **LIMITS)
