"""Adaptive sampling with a Bonferroni correction (Horvath et al., ICLR 2022), as a cross-check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.smoothing import thresholds
from robench.smoothing.certificates import Certificates
from robench.smoothing.cohen import check_options
from robench.smoothing.noise import Noise
from robench.smoothing.radius import ABSTAIN, radius_table
from robench.smoothing.votes import VoteSource

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """Integer tables of one stage: hits -> radius2, and the hits below which hope ends."""

    draws: int
    table: Counts
    give_up: Counts


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """Certify in stages of fresh draws, each at alpha / number of stages, until the radii are met.

    The radii asked for say when to stop; the certified radius is the best of the stages. Raises
    UserError when the last stage cannot certify the first positive radius.
    """

    n1: int = 100
    stages: tuple[int, ...] = (1_000, 10_000, 100_000)
    alpha: float = 0.001
    radius: str = "exact"

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages or list(self.stages) != sorted(set(self.stages)):
            raise UserError(f"expected increasing stages, got {self.stages}; give numbers of draws")
        check_options(self.alpha, self.radius, n1=self.n1, first_stage=self.stages[0])

    def plan(self, noise: Noise, pixels: int, radii: Sequence[float]) -> tuple[Stage, ...]:
        """The integer tables for this law, number of pixels and list of radii."""
        return _plan(self, noise, pixels, tuple(radii))

    def certify(self, source: VoteSource, images: Counts, radii: Sequence[float]) -> Certificates:
        """Certify images (positions in the source) at these radii, integers only.

        `radii` in [0,1] units, increasing from 0 or above. `hits` and `draws` are those of each
        image's last stage.
        """
        grid = thresholds.grid(radii)[1:]
        chosen = source.votes(images, 0, self.n1).argmax(1)
        hits, draws = (np.zeros(len(images), dtype=np.int64) for _ in range(2))
        radius2, running, seen = np.full(len(images), ABSTAIN), np.arange(len(images)), self.n1
        for stage in self.plan(source.noise, source.pixels, radii):
            counts = source.votes(images[running], seen, stage.draws)
            seen += stage.draws
            now = counts[np.arange(len(running)), chosen[running]]
            hits[running], draws[running] = now, stage.draws
            radius2[running] = np.maximum(radius2[running], stage.table[now])
            met = np.searchsorted(grid, radius2[running], side="right")
            following = np.minimum(met, len(grid) - 1)
            running = running[(met < len(grid)) & (now >= stage.give_up[following])]
        return Certificates(
            prediction=np.where(radius2 == ABSTAIN, ABSTAIN, chosen),
            radius2=radius2,
            hits=hits,
            draws=draws,
            selection=self.n1,
            radii=tuple(radii),
        )


@lru_cache(maxsize=32)
def _plan(
    options: Adaptive, noise: Noise, pixels: int, radii: tuple[float, ...]
) -> tuple[Stage, ...]:
    thresholds.check_radii(radii)
    share, last = options.alpha / len(options.stages), options.stages[-1]
    thresholds.require_reachable(noise, pixels, last, share, options.radius, radii)
    tables = [radius_table(noise, pixels, n, share, options.radius) for n in options.stages]
    needed = thresholds.needed_counts(tables[-1], radii)
    give_up = thresholds.give_up_thresholds(np.array(options.stages), last, True, needed)
    return tuple(
        Stage(draws=n, table=table, give_up=give_up[:, i])
        for i, (n, table) in enumerate(zip(options.stages, tables, strict=True))
    )
