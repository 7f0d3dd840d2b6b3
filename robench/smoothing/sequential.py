"""The anytime-valid certifier: draw until the radii are certified or beyond hope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robench.smoothing import thresholds
from robench.smoothing.certificates import Certificates
from robench.smoothing.cohen import check_options
from robench.smoothing.noise import Noise
from robench.smoothing.radius import ABSTAIN, radius_table
from robench.smoothing.votes import VoteSource

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Integer tables of one certifier under one noise law: all that a run needs.

    `climb` and `give_up` (radii, looks) are hits; `grid` maps radii certified to radius2; `final`
    maps hits among all draws to radius2.
    """

    looks: Counts
    climb: Counts
    give_up: Counts
    grid: Counts
    final: Counts


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """Certify a list of radii with as few draws as each image needs, at confidence 1 - alpha.

    Half of alpha goes to an e-process (Jeffreys' mixture, Ville's inequality; radii in order, so
    no union bound), half to Clopper-Pearson at `n2` draws, used only by images that get there: the
    papers' budget is 100,000. Raises UserError when the first positive radius is out of reach.
    """

    n1: int = 100
    n2: int = 10_000
    alpha: float = 0.001
    radius: str = "exact"

    def __post_init__(self) -> None:
        check_options(self.alpha, self.radius, n1=self.n1, n2=self.n2)

    def plan(self, noise: Noise, pixels: int, radii: Sequence[float]) -> Plan:
        """The integer tables for this law, number of pixels and list of radii."""
        return _plan(self, noise, pixels, tuple(radii))

    def certify(
        self,
        source: VoteSource,
        images: Counts,
        radii: Sequence[float],
        labels: Counts | None = None,
    ) -> Certificates:
        """Certify images (positions in the source) at these radii, integers only.

        `radii` in [0,1] units, increasing from 0 or above. With `labels` (benchmark mode) the true
        label is tested and none selected: a valid measure of certified accuracy, marked as not
        deployable.
        """
        plan = self.plan(source.noise, source.pixels, radii)
        first = 0 if labels is not None else self.n1
        chosen = source.votes(images, 0, first).argmax(1) if labels is None else labels
        hits, draws, steps = _run(plan, source, images, chosen, first)
        last = np.where(draws == plan.looks[-1], plan.final[hits], ABSTAIN)
        radius2 = np.maximum(plan.grid[steps], last)
        return Certificates(
            prediction=np.where(radius2 == ABSTAIN, ABSTAIN, chosen),
            radius2=radius2,
            hits=hits,
            draws=draws,
            selection=first,
            radii=tuple(radii),
            deployable=labels is None,
        )


def _run(
    plan: Plan, source: VoteSource, images: Counts, chosen: Counts, first: int
) -> tuple[Counts, Counts, Counts]:
    """Hits, draws and radii certified of each image; all images still running share each look."""
    hits, draws, steps = (np.zeros(len(images), dtype=np.int64) for _ in range(3))
    running, seen = np.arange(len(images)), 0
    for look, upto in enumerate(plan.looks.tolist()):
        counts = source.votes(images[running], first + seen, upto - seen)
        hits[running] += counts[np.arange(len(running)), chosen[running]]
        draws[running], seen = upto, upto
        for step, least in enumerate(plan.climb[:, look]):
            steps += (draws == upto) & (steps == step) & (hits >= least)
        running = running[_hopeful(plan, look, hits[running], steps[running])]
        if not len(running):
            break
    return hits, draws, steps


def _hopeful(plan: Plan, look: int, hits: Counts, steps: Counts) -> NDArray[np.bool_]:
    """Which images have a radius left that more draws may certify."""
    left: NDArray[np.bool_] = steps < len(plan.give_up)
    following = np.minimum(steps, len(plan.give_up) - 1)
    enough: NDArray[np.bool_] = hits >= plan.give_up[following, look]
    return left & enough


@lru_cache(maxsize=32)
def _plan(options: Sequential, noise: Noise, pixels: int, radii: tuple[float, ...]) -> Plan:
    half, kind = options.alpha / 2, options.radius
    thresholds.check_radii(radii)
    thresholds.require_reachable(noise, pixels, options.n2, half, kind, radii)
    looks = thresholds.looks_up_to(options.n2)
    final = radius_table(noise, pixels, options.n2, half, kind)
    p = thresholds.needed_probabilities(noise, pixels, radii, kind)
    return Plan(
        looks=looks,
        climb=thresholds.climb_thresholds(looks, p, half),
        give_up=thresholds.give_up_thresholds(
            looks, options.n2, False, thresholds.needed_counts(final, radii)
        ),
        grid=thresholds.grid(radii),
        final=final,
    )
