"""Prediction by vote (Algorithm 2) at several numbers of draws: right, abstained, seconds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Optional

import robench
from robench_metrics.smoothed import choose


@dataclass(frozen=True, kw_only=True)
class SmoothedPrediction(robench.Metric):
    """Accuracy and abstention of a smoothed system against draws (IntRS, Table 1 and Fig. 7)."""

    timed: ClassVar[bool] = True
    votes: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = (
        "prediction_accuracy",
        "prediction_abstention",
        "prediction_seconds",
    )

    draws: list[int] = field(default_factory=lambda: [100, 1000, 10_000])
    """Votes behind each prediction; the larger numbers include the votes of the smaller ones."""
    alpha: float = 0.001
    """Probability that a prediction which is given is wrong about the smoothed classifier."""
    images: int = 500
    """Images at most."""
    every: Optional[int] = None
    """Predict every n-th image of the whole test set; none given: judged images."""

    def __post_init__(self) -> None:
        robench.require_positive(images=self.images, every=self.every or 1)
        robench.require(
            bool(self.draws) and min(self.draws) > 0, f"expected draws > 0, got {list(self.draws)}"
        )
        robench.require(0 < self.alpha < 0.5, f"expected 0 < alpha < 0.5, got {self.alpha}")

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Yield values at each number of draws; adds the table `predictions`."""
        import numpy as np

        from robench.smoothing import decide, prediction_table

        chosen = choose(evidence, self.images, self.every)
        rows, n = np.arange(len(chosen.labels)), len(chosen.labels)
        counts, seen, start = np.zeros((n, 1), dtype=np.int64), 0, time.perf_counter()
        found = []
        for draws in sorted(self.draws):
            counts, seen = counts + chosen.source.votes(rows, seen, draws - seen), draws
            seconds = (time.perf_counter() - start) / n
            labels = decide(counts, prediction_table(draws, self.alpha))
            found.append(
                {
                    "image": chosen.numbers,
                    "label": chosen.labels,
                    "draws": np.full(n, draws),
                    "prediction": labels,
                    "seconds": np.full(n, seconds),
                }
            )
            axes: dict[str, robench.Axis] = {
                "draws": draws,
                "alpha": self.alpha,
                "sigma": float(chosen.deployed.noise.sigma),
            }
            right = (labels == chosen.labels).sum()
            abstained = (labels == robench.ABSTAIN).sum()
            yield robench.share("prediction_accuracy", right, n, axes)
            yield robench.share("prediction_abstention", abstained, n, axes, better="lower")
            yield robench.Value(
                metric="prediction_seconds",
                value=seconds,
                n=n,
                unit="s per image",
                better="lower",
                axes=axes,
            )
        evidence.tables["predictions"] = {
            name: np.concatenate([part[name] for part in found]) for name in found[0]
        }
