"""Does it help a network to remember what it was asked?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from robench.audit.contest import FAIL, SUSPECT
from robench.audit.unasked import NotCopied, Unasked
from robench.audit.verdict import difference, share_finding
from robench.base.seeds import generator
from robench.core.record import Finding
from robench.core.system import System, module_device
from robench.plugin import guest
from robench.plugin.components import Check
from robench.plugin.trial import Trial

if TYPE_CHECKING:
    from robench.audit.trial import SystemTrial

REMEMBERS, TIRES, CHANGING = "remembers", "tires", "changing_scores"
"""Names among the findings: of answers that questions change, of what searches read, of scores."""
MOVED, CHANGING_LIMIT = 0.1, 0.25
"""Parts of the highest score's lead by which a score is another one; share of images with such, at
the lower end of its interval."""
NEW = 20
"""Mirrored images that are asked to see whether the system takes in what is new to it."""


@dataclass(frozen=True, kw_only=True)
class Memory(Check):
    """Attacked images asked of the system, and of a copy that was never asked anything.

    Only where questions change what the system's code can reach. Where no answer changes with it
    and no search by it does worse, as of a network that counts calls or keeps statistics, it
    passes. Unless it is randomised it is audited as a stranger meets it from then on.
    """

    def look(self, trial: Trial) -> Iterable[Finding]:
        """The accuracy of the system on the same images minus that of the copy.

        And on the copy, the accuracy that a search on the system leaves minus that of one on a
        copy: labels may stay while scores tire of questions, and mislead whoever asked before.
        Before all that, how many images have other scores than before the usual attack, which
        shows a memory that no copy reaches, in a file say.
        """
        # One of the audit's own: nobody else may begin a trial again.
        trial = cast("SystemTrial", trial)
        _ = trial.reference
        # Somebody may have asked about the test images before the audit; hardly about these.
        trial.system.deployed.predict(trial.images[:NEW].flip(3))
        if trial.scores is not None:
            yield _changing(trial, trial.scores)
        if trial.unasked is not None and not trial.unasked.changed():
            return
        try:
            yield from _compared(trial, trial.unasked)
        except NotCopied:
            yield share_finding(REMEMBERS, 0, 0, suspect=1.0)


def _changing(trial: SystemTrial, before: Tensor) -> Finding:
    """Clean images whose scores are others once an attack was asked, wherever that is kept."""
    after = trial.system.deployed.logits(trial.images.clone()).float()  # type: ignore[attr-defined]
    top = before.topk(2, dim=1).values
    moved = (after - before).abs().amax(1) > MOVED * (top[:, 0] - top[:, 1])
    return share_finding(CHANGING, moved, len(trial), suspect=CHANGING_LIMIT)


def _compared(trial: SystemTrial, unasked: Unasked | None) -> Iterator[Finding]:
    """What the system and the copy answer to the same candidates, one answer each.

    They are those of the usual attack on both, around images and mirrored ones. Raises NotCopied.
    """
    if unasked is None:
        raise NotCopied
    images = torch.cat([trial.images, trial.images.flip(3)])
    used, strange = trial.system, unasked.forgetting()
    labels = torch.cat([trial.labels, strange.deployed.predict(images[len(trial) :])])
    on_used = _candidates(trial, used, images, labels)
    if trial.randomised:
        # A copy that forgets draws the same for each question: candidates would fit its draws.
        with unasked.anew() as fresh:
            on_strange = _candidates(trial, fresh, images, labels)
    else:
        on_strange = _candidates(trial, strange, images, labels)

    def right(system: System, candidates: Tensor) -> Tensor:
        return system.deployed.predict(candidates) == labels

    before, after = right(used, images), right(strange, images)
    judge = used if trial.randomised else strange
    tired, rested = right(judge, on_used), right(judge, on_strange)
    for candidates in (on_used,) if trial.randomised else (on_used, on_strange):
        before &= right(used, candidates)
        after &= right(strange, candidates)
    if not trial.randomised:
        trial.start_over(strange)
    limits = {"suspect": SUSPECT, "fail": FAIL}
    yield difference(REMEMBERS, before, after, **limits)
    yield difference(TIRES, tired, rested, **limits)


def _candidates(trial: SystemTrial, system: System, images: Tensor, labels: Tensor) -> Tensor:
    rng, device = generator(trial.seed, "audit", REMEMBERS), module_device(system.twin)
    given = images.to(device).clone(), labels.to(device).clone()
    found = trial.usual.run(system.twin, *given, trial.threat, rng)
    return trial.threat.project(guest.plain_tensor(found, tuple(images.shape)), images)
