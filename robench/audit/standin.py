"""Stands in for the strongest search until it is there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from robench.core.threat import Threat
from robench.search import Attacked, Target, climb, probability_margin, rival_margin


@dataclass(frozen=True, kw_only=True)
class StandIn:
    quick: bool

    def run(
        self, target: Target, images: Tensor, labels: Tensor, threat: Threat, rng: torch.Generator
    ) -> Tensor:
        attacked = Attacked(target, images, labels, threat)

        def stage(loss, steps, count=None, share=1.0, restarts=1, start=None):  # type: ignore
            index = attacked.index
            if share < 1:
                order = attacked.closeness[index].argsort(descending=True)
                index = index[order[: max(12, round(share * len(index)))]]
            for _ in range(restarts):
                index = index[attacked.holds[index]]
                if len(index) == 0:
                    return
                rows, targets = index, None
                if count:
                    n = min(count, attacked.gaps.shape[1] - 1)
                    targets = attacked.gaps[index].topk(n, 1).indices.flatten()
                    rows = index.repeat_interleave(n)
                draw = start or (lambda at: attacked.legal(at).draw(rng))
                climb(attacked, rows, targets, draw, loss, steps)

        clean = lambda at: attacked.legal(at).images  # noqa: E731
        stage(probability_margin, 10, start=clean)
        stage(rival_margin, 10, 3, share=0.5 if self.quick else 1.0)
        if not self.quick:
            stage(rival_margin, 10, 9, share=0.4)
            stage(rival_margin, 30, 3, share=0.15)
            stage(probability_margin, 50, 2, share=0.05, restarts=10)
        return attacked.points
