"""Does another attack beat what was tried before, on the same images?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from robench.audit.trial import Trial
from robench.audit.verdict import difference
from robench.record import Finding
from robench.seeds import generator
from robench.stats import wilson

Search = Callable[[Tensor], Tensor]
"""Indices of images -> their legal candidates."""

SUSPECT, FAIL = 0.02, 0.05
"""What the lower end of the paired difference of two attacks must exceed."""
MATERIAL = FAIL
"""Share of images, at the lower end of its interval, that a gain must exceed to be looked into."""
PROBE = 30
"""Images on which a cheap audit tries a search first; the others follow if two of them fall."""


def contest(trial: Trial, check: str, name: str, search: Search, sentence: str) -> Finding:
    """Run a search on the images that still hold, and compare it with all that came before.

    Two attempts together always break more than one of them, so a gain alone says little: where it
    is material, the search also attacks the images that fell before, and both sides stand alone.
    The finding is the paired difference of accuracies. In a thrifty audit a search that breaks
    next to nothing stops after PROBE images.
    """
    before = trial.held.clone()
    left = trial.left
    size = PROBE if trial.thrifty else len(left)
    rng = generator(trial.seed, "audit", "probe", name)
    left = left[torch.randperm(len(left), generator=rng)]
    first, rest = left[:size], left[size:]
    gained = int(trial.attempt(name, search(first), first).sum())
    if gained > 1 and len(rest):
        gained += int(trial.attempt(name, search(rest), rest).sum())
    alone = before & ~trial.tried[name]
    limits = {"suspect": 1.0, "fail": 1.0}
    if wilson(gained, len(trial))[0] > MATERIAL:
        fallen = (trial.clean & ~before).nonzero()[:, 0]
        alone[fallen] = ~trial.attempt(name, search(fallen), fallen)
        limits = {"suspect": SUSPECT, "fail": FAIL}
    return difference(check, before, alone, sentence, **limits)
