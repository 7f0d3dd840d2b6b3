"""Rows crafted again: the row's own attack, from the row's seed, on the model that was kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.base.hashing import plain_options
from robench.base.seeds import derive
from robench.core.threat import TOLERANCE, distance
from robench.plugin.scenario import Scenario
from robench.replay.judged import where
from robench.replay.steps import NotDone, Refuted, surely_more
from robench.replay.subject import Subject
from robench.run import attacks, reopen
from robench.run.config import Transfer

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES, ROWS = 100, 8
"""Images on which a row is crafted again, and rows, at most."""
EXCESS = {"ball": 0.1, "minimal": 0.25, "noise": 0.1}
"""Share of images by which a row must be too strong before it is called so: a program's twin is
nearly the network on which the row was crafted, not quite. On published records a search in a ball
gained at most 0.03, one for the nearest error 0.15."""


def crafted_again(subject: Subject) -> str:
    """Whether the rows' attacks, run again, break no more than the record says.

    On the same images, an attack's second run is no stronger than its first but by chance: the two
    counts of images that only one of them breaks are compared by an exact sign test.
    """
    rows = {(r.attack, r.access, r.norm, r.eps): r for r in subject.valid}
    here, skipped = [], sorted(set(subject.unknown) & {row.attack for row in subject.valid})
    for scenario in reopen.asked(subject.stages):
        place = (scenario.attack, scenario.access, scenario.threat.norm, scenario.threat.eps)
        if place not in rows:
            continue
        if isinstance(subject.stages.config.access.get(scenario.access), Transfer):
            skipped.append(f"{scenario.attack} (made on a model that is not kept)")
            continue
        here.append((scenario, place))
    if not rows:
        raise NotDone("the record has no rows")
    chosen = subject.draw("rows", np.arange(len(here)), ROWS)
    skipped += [f"{here[i][0].attack} (not drawn)" for i in range(len(here)) if i not in chosen]
    tests = sum(max(len(here[index][0].budgets), 1) for index in chosen)
    sentences = []
    for index in chosen:
        scenario, place = here[index]
        sentences.append(f"{where(rows[place])} {_again(subject, scenario, place, tests)}")
    if not sentences:
        raise NotDone(f"no row could be crafted again: {', '.join(skipped)}")
    left = f"; not repeated: {', '.join(dict.fromkeys(skipped))}" if skipped else ""
    return f"crafted again, broken then and now: {'; '.join(sentences)}{left}"


def _again(
    subject: Subject, scenario: Scenario, place: tuple[str, str, str, float | None], tests: int
) -> str:
    part, component = subject.outcomes.find(*place), subject.stages.config.attack[scenario.attack]
    right = np.flatnonzero(part.clean_right)
    positions = subject.draw(f"images {place}", right, IMAGES)
    if len(positions) == 0:
        return "0 and 0 of 0"
    test = subject.test.take(torch.from_numpy(positions))
    seed = derive(subject.stages.config.seed, "attack", plain_options(component), scenario.threat)
    try:
        found = attacks.search(component, scenario, subject.system, test, seed)
    except attacks.AttackFailed as failure:
        return f"could not be run ({failure})"
    wrong = subject.labels(found, f"crafted {place}") != test.labels.numpy()
    recorded = ~part.right[positions]
    if scenario.search != "minimal":
        return _compare(recorded, wrong, scenario, tests)
    near = distance(found, test.float_images(), scenario.threat.norm).numpy()
    said = []
    for budget in scenario.budgets:
        limit = budget + TOLERANCE
        before = recorded & (part.distance[positions] <= limit)
        said.append(_compare(before, wrong & (near <= limit), scenario, tests))
    return ", ".join(said) or "has no budgets to compare at"


def _compare(
    before: NDArray[np.bool_], now: NDArray[np.bool_], scenario: Scenario, tests: int
) -> str:
    more, fewer = int((now & ~before).sum()), int((before & ~now).sum())
    counts = f"{int(before.sum())} and {int(now.sum())} of {len(now)}"
    much = more - fewer >= EXCESS[scenario.search] * len(now)
    if much and surely_more(more, fewer, tests):
        raise Refuted(
            f"{scenario.attack} ({scenario.access}) breaks {counts} images that are right clean, "
            "recorded and now: its own attack is stronger than its row"
        )
    return counts
