"""Rows crafted again: the row's own attack, from the row's seed, on the model that was kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.base.hashing import plain_options
from robench.base.seeds import derive
from robench.core.threat import TOLERANCE, distance
from robench.plugin.scenario import Scenario
from robench.records.protocol import PARENT
from robench.replay.judged import named
from robench.replay.steps import NotDone, Refuted, surely_more, unseen
from robench.replay.subject import Place, Subject
from robench.run import attacks, reopen
from robench.run.config import Transfer

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGES, ROWS = 200, 8
"""Images on which a row is crafted again, and rows, at most."""
EXCESS = {"ball": 0.1, "minimal": 0.25, "noise": 0.1}
"""Share of images by which a row must be too strong before it is called so: a program's twin is
nearly the network on which the row was crafted, not quite. On published records a search in a ball
gained at most 0.03, one for the nearest error 0.15."""
COST, COST_APART = {"gradients": 3, "queries": 10}, 5
"""How many times as much, and by how much an image, a search must cost before its row's costs are
called false. On other images a cascade asks other numbers: its probes are shared by fewer images,
and one image that queries win makes it ask four times as many."""
RESOLVED = 4
"""A row is too small to be tried when a lie about one in so many images would not show."""


def crafted_again(subject: Subject) -> str:
    """Whether the rows' attacks, run again, break no more than the record says, and cost as much.

    On the same images, an attack's second run is no stronger than its first but by chance: the two
    counts of images that only one of them breaks are compared by an exact sign test. Raises NotDone
    when a row that no audit bounds cannot be crafted again here.
    """
    here, absent = _possible(subject)
    if not here and not absent:
        raise NotDone("the record has no rows")
    places = _drawn(subject, list(here))
    tests = sum(len(here[place].budgets) + 1 for place in places)
    said = []
    for place in places:
        try:
            said.append(f"{named(*place)} {_again(subject, here[place], place, tests)}")
        except NotDone as reason:
            absent[place] = str(reason)
    if missing := [place for place in absent if place[2:] in _unbounded(subject)]:
        raise NotDone("; ".join(f"{named(*place)}: {absent[place]}" for place in missing))
    if not said:
        raise NotDone("; ".join(f"{named(*place)}: {why}" for place, why in absent.items()))
    left = [f"{named(*place)} ({why})" for place, why in absent.items()]
    left += [f"{named(*place)} (not drawn)" for place in here if place not in places]
    more = f"; not repeated: {', '.join(left)}" if left else ""
    return (
        f"crafted again, broken then and now: {'; '.join(said)}; {unseen(tests)} images too many "
        f"would not show{more}"
    )


def _possible(subject: Subject) -> tuple[dict[Place, Scenario], dict[Place, str]]:
    """The rows that can be crafted here, and why the others cannot."""
    asked = {
        (s.attack, s.access, s.threat.norm, s.threat.eps): s for s in reopen.asked(subject.stages)
    }
    here, absent = {}, {}
    chosen = subject.stages.config.access
    transferred = [name for name, access in chosen.items() if isinstance(access, Transfer)]
    for row in subject.valid:
        place = row.attack, row.access, row.norm, row.eps
        if row.attack in subject.unknown:
            absent[place] = subject.unknown[row.attack]
        elif row.access == PARENT:
            absent[place] = "made on the file's float parent, which is not kept"
        elif row.access in transferred:
            absent[place] = "made on a model that is not kept"
        else:
            here[place] = asked[place]
    return here, absent


def _unbounded(subject: Subject) -> set[tuple[str, float | None]]:
    """Threats of rows that no audit bounds: there an attack alone shows how strong its row is."""
    bounded = {(audit.norm, audit.eps) for audit in subject.record.audit}
    rows = [row for row in subject.outcomes.attacked if row.search != "noise"]
    return {(row.norm, row.eps) for row in rows} - bounded


def _drawn(subject: Subject, places: list[Place]) -> list[Place]:
    """A sample of the rows: one of each threat that no audit bounds, then any."""
    order = subject.draw("rows", np.arange(len(places)), len(places), ordered=False)
    shuffled = [places[at] for at in order]
    first = {place[2:]: place for place in shuffled if place[2:] in _unbounded(subject)}
    rest = [place for place in shuffled if place not in first.values()]
    return [*first.values(), *rest][: max(ROWS, len(first))]


def _again(subject: Subject, scenario: Scenario, place: Place, tests: int) -> str:
    part, component = subject.outcomes.find(*place), subject.stages.config.attack[scenario.attack]
    right = np.flatnonzero(part.clean_right)
    positions = subject.draw(f"images {place}", right, IMAGES)
    if len(positions) < RESOLVED * unseen(tests):
        raise NotDone(f"{len(positions)} images are too few to tell chance from a weak attack")
    test = subject.test.take(torch.from_numpy(positions))
    seed = derive(subject.stages.config.seed, "attack", plain_options(component), scenario.threat)
    try:
        system = replace(subject.system, deployed=subject.deployed)
        again = attacks.search(component, scenario, system, test, seed)
    except attacks.AttackFailed as failure:
        raise NotDone(f"its attack fails here, {failure}") from failure
    found = again.images
    wrong = subject.labels(found, f"crafted {place}") != test.labels.numpy()
    recorded = ~part.right[positions]
    whole = len(positions) == len(right)
    cost = _cost(subject, place, again, len(part) / len(positions), whole)
    if scenario.search != "minimal":
        return f"{_compare(recorded, wrong, scenario, tests)}{cost}"
    near = distance(found, test.float_images(), scenario.threat.norm).numpy()
    said = []
    for budget in (*scenario.budgets, None):
        limit = np.inf if budget is None else budget + TOLERANCE
        before = recorded & (part.distance[positions] <= limit)
        said.append(_compare(before, wrong & (near <= limit), scenario, tests))
    return f"{', '.join(said)}{cost}"


def _cost(subject: Subject, place: Place, found: attacks.Found, most: float, whole: bool) -> str:
    """Compare what the searches asked for, and note that it was; empty where it is not counted.

    Images that are wrong clean, or were not drawn, may have cost nothing: on the others the
    recorded mean may have been `most` times as large. Unless `whole`, those not drawn may have cost
    nearly all, as the few that hold do of a cascade: too little now then proves nothing.
    """
    row = next(r for r in subject.valid if (r.attack, r.access, r.norm, r.eps) == place)
    said = []
    for name, factor in COST.items():
        before, now = getattr(row, name), getattr(found, name)
        if before is None or now is None:
            return ""
        much = now > factor * most * before and now > most * before + COST_APART
        little = now < before / factor and now < before - COST_APART
        if much or (little and whole):
            raise Refuted(
                f"{named(*place)} cost {before:,.1f} {name} an image by the record, and crafted "
                f"again {now:,.1f}"
            )
        said.append(f"{name} {before:,.0f} and {now:,.0f}")
    subject.counted.add(place)
    return f" ({', '.join(said)})"


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
