"""Does another attack beat what was tried before, on the same images?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from robench.audit.verdict import NOISY, difference
from robench.base.seeds import generator
from robench.base.stats import wilson
from robench.core.record import Finding, worst
from robench.plugin.trial import Trial

CandidateSearch = Callable[[Tensor], Tensor]
"""Indices of images -> their legal candidates."""

SUSPECT, FAIL = 0.02, 0.05
"""What the lower end of the paired difference of two attacks must exceed."""
MATERIAL = FAIL
"""Share of images, at the lower end of its interval, that a gain must exceed to be looked into."""
NEVER = {"suspect": 1.0, "fail": 1.0}
"""Limits of a difference that is not looked into."""
PROBE = 30
"""Images on which a cheap audit tries a search first; the others follow if two of them fall."""
FEW_FALLEN = 0.25
"""Images that fell before, in parts of those that hold, up to which both are searched at once."""
NOTHING = 0.1
"""Share of images up to which next to nothing is left."""


def next_to_nothing(trial: Trial) -> bool:
    """Whether so few images still hold that no gradient can have misled an attack much."""
    return len(trial.left) <= NOTHING * len(trial)


def failed(trial: Trial) -> bool:
    """Whether the findings so far fail the system, so that a thrifty audit need not go on."""
    return worst(finding.verdict for finding in trial.findings) == "fail"


def doubted(trial: Trial) -> bool:
    """Whether any finding so far speaks against the system, but for what randomness may trip."""
    return any(one.verdict != "pass" and one.check not in NOISY for one in trial.findings)


def contest(trial: Trial, check: str, name: str, search: CandidateSearch, **free: Any) -> Finding:
    """Run a search on the images that still hold, and compare it with all that came before.

    Two attempts together always break more than one of them, so a gain alone says little: where it
    is material, the search also attacks the images that fell before, and both sides stand alone.
    The finding is the paired difference of accuracies; its sentence takes `free`. In a thrifty
    audit a search that breaks next to nothing stops after PROBE images, unless something speaks
    against the system already: then it is likely to break more.
    """
    before = trial.held.clone()
    fallen = (trial.clean & ~before).nonzero()[:, 0]
    rng = generator(trial.seed, "audit", "probe", name)
    left = trial.left[torch.randperm(len(trial.left), generator=rng)]
    size = PROBE if trial.thrifty and not doubted(trial) else len(left)
    first, rest = left[:size], left[size:]
    if trial.thrifty and len(rest) == 0 and 0 < len(fallen) <= FEW_FALLEN * len(left):
        # A search of few images takes about as long as one of fewer.
        first, fallen = torch.cat([first, fallen]), fallen[:0]

    def attempt(index: Tensor) -> int:
        candidates = search(index) if len(index) else trial.images[:0]
        trial.attempt(name, candidates, index)
        return int((trial.tried[name] & before).sum())

    gained = attempt(first)
    if gained > 1 and len(rest):
        # One call for both where the first images alone have settled that both are needed.
        at_once = _material(gained, trial)
        gained = attempt(torch.cat([rest, fallen]) if at_once else rest)
        fallen = fallen[:0] if at_once else fallen
    if not _material(gained, trial):
        return difference(check, before, before & ~trial.tried[name], **NEVER, **free)
    attempt(fallen)
    trial.alone[name] = trial.clean & ~trial.tried[name]
    return difference(check, before, trial.alone[name], suspect=SUSPECT, fail=FAIL, **free)


def remember(trial: Trial, tried: str, name: str, module: nn.Module, before: Tensor) -> None:
    """Keep a module for the strongest search where it broke several images that held before."""
    if int((trial.tried[tried] & before).sum()) > 1:
        trial.forms[name] = module


def _material(gained: int, trial: Trial) -> bool:
    return wilson(gained, len(trial))[0] > MATERIAL
