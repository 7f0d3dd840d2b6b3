"""The strongest search: cheap climbs, dear ones for what is nearly broken, then other searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Literal

import torch
from torch import Tensor

from robench.base.errors import ConfigError
from robench.core.threat import Threat
from robench.search.apgd import ApgdSearch
from robench.search.climb import Attacked, climb, rows_at_once
from robench.search.fab import FabSearch
from robench.search.gradient import searching
from robench.search.legal import Legal
from robench.search.losses import TargetedLoss, margin, probability_margin
from robench.search.secant import secant
from robench.search.square import SquareSearch
from robench.search.target import Target

Draw = Callable[[Legal, torch.Generator], Tensor]
"""Draws a start in each of M balls: (M, C, H, W)."""

Budget = Literal["quick", "whole"]


def _clean(legal: Legal, rng: torch.Generator) -> Tensor:
    del rng
    return legal.images


def _uniform(legal: Legal, rng: torch.Generator) -> Tensor:
    return legal.draw(rng)


def _corners(legal: Legal, rng: torch.Generator) -> Tensor:
    return _edge(legal, tuple(legal.images.shape), rng)


def _stripes(legal: Legal, rng: torch.Generator) -> Tensor:
    count, channels, _, width = legal.images.shape
    return _edge(legal, (count, channels, 1, width), rng)


def _edge(legal: Legal, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Eps up or down, drawn for `shape` and repeated over the rest of the image."""
    signs = torch.randint(2, shape, generator=rng) * 2 - 1
    return legal.project(legal.images + legal.radius * signs.to(legal.images))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Climbs of one kind, on the images that hold."""

    loss: TargetedLoss
    steps: int
    start: Draw
    targets: int | None = None
    """Target classes at most, the nearest first by all that was seen; None: untargeted."""
    share: float = 1.0
    """Share of the images, the nearest first; at least `FEW`."""
    restarts: int = 1


# What no climb of ten steps breaks is mostly broken by another class, another start or never; a
# start on stripes is Square's, and finds what uniform ones do not.
STAGES: dict[Budget, tuple[Stage, ...]] = {
    "quick": (Stage(loss=margin, steps=5, start=_stripes, targets=3),),
    "whole": (
        Stage(loss=probability_margin, steps=10, start=_clean),
        Stage(loss=margin, steps=10, start=_stripes, targets=3),
        Stage(loss=margin, steps=10, start=_corners, targets=9, share=0.4),
        Stage(loss=margin, steps=30, start=_uniform, targets=3, share=0.4),
        Stage(
            loss=probability_margin, steps=50, start=_stripes, targets=2, share=0.15, restarts=10
        ),
    ),
}
FEW = 8
# Beyond this margin the softmax is flat in float32, and the logits themselves are climbed.
SATURATED = 15.0

# Images whose secant is measured. Above `SOUND` (median) gradients tell the truth, below `BENT`
# they do not: queries then come before the dear climbs.
SECANT_IMAGES = 32
SOUND, BENT = 0.9, 0.3
# A search that most networks do not need is tried on a few images, or in small: while more than
# this share of them is broken, on so many times more, the whole of it in the end.
WIN, GROWTH = 1 / 32, 4


Search = Callable[[Target, Tensor, Tensor, Threat, torch.Generator, Tensor | None], Tensor]
"""As `FabSearch.run`: target, images, labels, threat, generator and radii -> candidates."""


@dataclass(frozen=True)
class Probe:
    """Images that a search is tried on at first, and its efforts one after the other."""

    size: int | None
    """None: all that hold."""
    efforts: tuple[Search, ...]


def _square(*queries: int) -> tuple[Search, ...]:
    """The Square attack on the scores of a target, by its queries."""

    def effort(search: SquareSearch) -> Search:
        return lambda target, *rest: search.run(target.scores, *rest)

    return tuple(effort(SquareSearch(queries=each, ties=True)) for each in queries)


# Where training against Linf bends the margin's gradients in L2, those of the ratio lead on.
RATIOS = Probe(
    64,
    (
        ApgdSearch(loss="dlr", steps=100, targets=3).run,
        ApgdSearch(loss="dlr", steps=100, targets=3, restarts=3).run,
    ),
)
BOUNDARIES = Probe(None, (FabSearch(steps=50, targets=3).run, FabSearch(steps=100, targets=9).run))
# In L2 alone: in Linf the targeted climbs leave them nothing.
L2 = (RATIOS, BOUNDARIES)
# By whether gradients are sound.
QUERIES = {True: Probe(16, _square(320, 1280, 5000)), False: Probe(32, _square(1250, 5000))}
# Where gradients tell nothing, while any is: few of the probed may be near enough to fall.
ANY = 0.0


@dataclass(frozen=True, kw_only=True)
class StrongestSearch:
    """A cascade that breaks what an ensemble of attacks breaks, in a fraction of its time.

    The climbs are APGD's (Croce & Hein, 2020); `STAGES` lists them. An image that holds to the end
    costs 40 gradients, the nearest 40 % 220 and the nearest 15 % 1,220, each with one query: about
    260 on average, more where fewer than 160 hold. In L2 APGD on the ratio of logits adds 300 on 64
    images, where it wins 900 to 1,200 on every one; FAB (Croce & Hein, 2020b) 150 to 300, where it
    wins 900 to 1,800. A probe costs 16 images 320 queries, or 32 images 1,250 where gradients bend
    or one of those two won; where queries win, every image 6,600 at most. A randomised twin costs
    `samples` times all this, and has neither. Raises ConfigError for an unknown budget.
    """

    budget: Budget = "whole"
    """quick: one short climb, 15 gradients an image at most; whole: all of it."""
    samples: int = 8
    """Evaluations of a randomised twin that are averaged at each gradient."""

    def __post_init__(self) -> None:
        if self.budget not in STAGES:
            raise ConfigError(
                f"expected budget to be one of {', '.join(STAGES)}, got {self.budget!r}"
            )

    def run(
        self,
        target: Target,
        images: Tensor,
        labels: Tensor,
        threat: Threat,
        rng: torch.Generator,
        radii: Tensor | None = None,
    ) -> Tensor:
        """Search candidates for float32 images in [0,1], shape (N, C, H, W), on their device.

        `rng` is a CPU generator; `radii` (N,) give each image an eps of its own, at most the
        threat's. Candidates are legal under the threat, its grid included, so what
        is returned is what was judged; for an image that holds it is the nearest one met.
        """
        with searching(target.twin):
            samples = self.samples if target.randomised else 1
            attacked = Attacked(target, images, labels, threat, samples, radii)
            first, *rest = STAGES[self.budget]
            _climbs(attacked, first, rng)
            asks = self.budget == "whole" and not target.queried
            trust = _trust(attacked, rng) if asks else 1.0
            if trust < BENT:
                _try(attacked, QUERIES[False], ANY, rng)
            for stage in rest:
                _climbs(attacked, stage, rng)
            attacked.judge_nearest()
            sound = trust >= SOUND
            if self.budget == "whole" and threat.norm == "l2" and not target.randomised:
                for probe in L2:
                    sound &= not _try(attacked, probe, WIN, rng)
            if asks and trust >= BENT:
                _try(attacked, QUERIES[sound], WIN, rng)
        return attacked.points.contiguous()


def _climbs(attacked: Attacked, stage: Stage, rng: torch.Generator) -> None:
    """Run a stage."""
    index = _nearest(attacked)
    if stage.share < 1:
        index = index[: max(FEW, round(stage.share * len(index)))]
    if len(index) == 0:
        return
    loss = stage.loss
    if attacked.closeness[index].median() < -SATURATED:
        loss = margin
    rows, targets = index, None
    if stage.targets is not None:
        rows, targets = _rivals(attacked, index, stage.targets)
        targets = targets.repeat(stage.restarts)

    def start(at: Tensor) -> Tensor:
        return stage.start(attacked.legal(at), rng)

    climb(attacked, rows.repeat(stage.restarts), targets, start, loss, stage.steps)


def _nearest(attacked: Attacked) -> Tensor:
    """The images that hold, the nearest to an error first."""
    index = attacked.index
    return index[attacked.closeness[index].argsort(descending=True, stable=True)]


def _rivals(attacked: Attacked, index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Rows of each image with each of its `count` nearest classes, and those classes."""
    count = min(count, attacked.gaps.shape[1] - 1)
    targets = attacked.gaps[index].topk(count, dim=1).indices
    return index.repeat_interleave(count), targets.flatten()


def _trust(attacked: Attacked, rng: torch.Generator) -> float:
    """How well gradients predict differences: the median image's secant; 1 where none holds."""
    index = attacked.index
    index = index[torch.randperm(len(index), generator=rng)[:SECANT_IMAGES].to(index.device)]
    # One random answer minus another is noise, whatever the gradient is worth.
    if len(index) == 0 or attacked.target.randomised:
        return 1.0
    images, labels, target = attacked.images[index], attacked.labels[index], attacked.target
    sound = secant(target.twin, target.scores, images, labels, attacked.threat, rng)
    return float(sound.median())


def _try(attacked: Attacked, probe: Probe, win: float, rng: torch.Generator) -> bool:
    """Try a search on a few images; while it wins more of them, and more of it. Whether it won.

    It wins where more than the share `win` of those it was tried on is broken.
    """
    size = probe.size or len(attacked.holds)
    done, won = torch.zeros_like(attacked.holds), False
    for effort in chain(probe.efforts, repeat(probe.efforts[-1])):
        index = _nearest(attacked)
        index = index[~done[index]]
        half = (size + 1) // 2
        others = index[half:][torch.randperm(len(index[half:]), generator=rng).to(index.device)]
        group = torch.cat([index[:half], others[: size - half]])
        if len(group) == 0:
            break
        _search(attacked, effort, group, rng)
        broken = len(group) - int(attacked.holds[group].sum())
        if broken <= win * len(group):
            break
        won = True
        done[group] = effort is probe.efforts[-1]
        size *= GROWTH
    return won


def _search(attacked: Attacked, search: Search, index: Tensor, rng: torch.Generator) -> None:
    """Run a search on these images; of a randomised target it reads means over answers."""
    target = attacked.target

    def scores(images: Tensor) -> Tensor:
        total = target.scores(images).float()
        for _ in range(attacked.samples - 1):
            total = total + target.scores(images)
        return total / attacked.samples

    asked = replace(target, scores=scores)
    images, labels = attacked.images[index], attacked.labels[index]
    radii = None if attacked.radii is None else attacked.radii[index]
    parts = [
        search(
            asked,
            images[part],
            labels[part],
            attacked.threat,
            rng,
            None if radii is None else radii[part],
        )
        for part in torch.arange(len(index), device=index.device).split(rows_at_once(images))
    ]
    found = torch.cat(parts)
    attacked.judge(index, found, margin(scores(found), labels))
