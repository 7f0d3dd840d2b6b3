"""Does it help a network to remember what it was asked?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from robench.audit.contest import FAIL, SUSPECT
from robench.audit.stranger import STARTS, Comparison
from robench.audit.unasked import NotCopied, Unasked
from robench.audit.verdict import difference, share_finding
from robench.core.record import Finding
from robench.core.system import System
from robench.plugin.components import Check
from robench.plugin.trial import Trial

if TYPE_CHECKING:
    from robench.audit.trial import SystemTrial

REMEMBERS, TIRES, CHANGING = "remembers", "tires", "changing_scores"
"""Names among the findings: of answers that questions change, of what searches read, of scores."""
LONGER = "longer"
"""Of a system that refuses a copy: more moves leave more."""
MOVED, CHANGING_LIMIT = 0.1, 0.25
"""Parts of the highest score's lead by which a score is another one; share of images with such, at
the lower end of its interval."""
NEW = 20
"""Mirrored images that are asked to see whether the system takes in what is new to it."""
MOVES = {True: 50, False: 200}
"""Moves of a long search, by whether the audit is a thrifty one: many more than the usual attack's,
and than the forty of a usual attacker."""
DRAWN = 10
"""Images of a random system whose labels are asked at once, since they may share a draw."""
WATCHED = {True: 15, False: 50}
"""Images that it attacks, and as many mirrored ones."""


@dataclass(frozen=True, kw_only=True)
class Memory(Check):
    """Attacked images asked of the system, and of a copy that was never asked anything.

    Only where questions change what the system's code can reach. Where no answer changes with it
    and no search by it does worse, as of a network that counts calls or keeps statistics, it
    passes. From then on it is audited as a stranger meets it, unless what it keeps are its draws.
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
            yield _longer(trial)


def _changing(trial: SystemTrial, before: Tensor) -> Finding:
    """Clean images whose scores are others once an attack was asked, wherever that is kept."""
    after = trial.system.deployed.logits(trial.images.clone()).float()  # type: ignore[attr-defined]
    top = before.topk(2, dim=1).values
    near = (after - before).abs() <= MOVED * (top[:, :1] - top[:, 1:])
    # A difference says nothing of infinities, nor of what is no number.
    same = near | (after == before) | (after.isnan() & before.isnan())
    return share_finding(CHANGING, ~same.all(1), len(trial), suspect=CHANGING_LIMIT)


def _longer(trial: SystemTrial) -> Finding:
    """The accuracy that a long search leaves minus the usual attack's, on the same images."""
    index = trial.reference.index[: 2 * WATCHED[trial.thrifty]]
    moves = MOVES[trial.thrifty]
    found = trial.search(LONGER, trial.system.twin, replace(trial.usual, steps=moves), index)
    left, usual = ~trial.wrong(found, index), ~trial.reference.wrong[: len(index)]
    return difference(LONGER, left, usual, suspect=FAIL, fail=1.0, number=moves)


def _compared(trial: SystemTrial, unasked: Unasked | None) -> Iterator[Finding]:
    """What the system and the copy answer to the same candidates, one answer each.

    They are those of a long search on both, which meets what misleads only after many moves, and of
    the usual attack on both, around images and mirrored ones. Where the copy has the same labels,
    and the losses and gradients that the long search met, all else would be the same and is not
    asked. Raises NotCopied.
    """
    if unasked is None:
        raise NotCopied
    used, strange = trial.system, unasked.forgetting()
    images = torch.cat([trial.images, trial.images.flip(3)])
    labels = torch.cat([trial.labels, strange.deployed.predict(images[len(trial) :])])
    at_once = DRAWN if trial.randomised else len(images)
    usual = Comparison(images, labels, trial.threat, trial.usual, trial.seed, at_once)
    few = torch.arange(min(WATCHED[trial.thrifty], len(trial)))
    long = usual.long(MOVES[trial.thrifty], torch.cat([few, len(trial) + few]))
    found, questions = long.candidates(used, STARTS)
    alike = torch.equal(long.right(used, found), long.right(strange, found))
    if alike and long.same(strange, questions):
        before, after = usual.right(used, images), usual.right(strange, images)
        tires = [(before, before)]
    else:
        # Where a copy draws the same each time, candidates would be judged by one draw.
        repeats = trial.randomised and unasked.repeats(trial.images[:NEW])
        judge = used if repeats else strange
        before, after, short = _apart(usual, used, strange, judge)
        rested, _ = long.candidates(strange)
        # Few moves of a random system differ by what was drawn for the whole batch.
        tires = [] if trial.randomised else [short]
        tires.append((long.right(judge, found), long.right(judge, rested)))
    trial.meet_anew(unasked)
    # Draws of a generator that the system itself holds are other ones for each.
    suspect, fail = (FAIL, 2 * FAIL) if trial.randomised else (SUSPECT, FAIL)
    yield difference(REMEMBERS, before, after, suspect=suspect, fail=fail)
    yield max((difference(TIRES, *one, suspect=suspect, fail=fail) for one in tires), key=_low)


def _apart(
    usual: Comparison, used: System, strange: System, judge: System
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """What the system and a copy get right, clean and attacked, and what two searches leave."""
    found = [usual.candidates(system)[0] for system in (used, strange)]
    before, after = usual.right(used, usual.images), usual.right(strange, usual.images)
    # A copy that draws the same each time would be met by candidates that fit its draw.
    for candidates in found if judge is strange else found[:1]:
        before &= usual.right(used, candidates)
        after &= usual.right(strange, candidates)
    left = [usual.right(judge, candidates) for candidates in found]
    return before, after, (left[0], left[1])


def _low(finding: Finding) -> float:
    return finding.low or 0.0
