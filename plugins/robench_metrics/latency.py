"""Latency: how long the deployed model takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import robench


@dataclass(frozen=True, kw_only=True)
class Latency(robench.Metric):
    """Seconds per batch of the deployed model (median, p95) and images per second."""

    timed: ClassVar[bool] = True

    batch: int = 1
    """Images per call."""
    repeats: int = 50
    """Timed calls."""
    warmup: int = 5
    """Calls before the timed ones."""

    def __post_init__(self) -> None:
        robench.require_positive(batch=self.batch, repeats=self.repeats)
        robench.require(self.warmup >= 0, f"expected warmup >= 0, got {self.warmup}")

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Median and 95th percentile with the 5th to 95th percentile as interval, and the rate."""
        import numpy as np
        import torch

        images = evidence.test.float_images()[: self.batch]
        images = images.repeat(-(-self.batch // len(images)), 1, 1, 1)[: self.batch]
        deployed = evidence.system.deployed
        for _ in range(self.warmup):
            deployed.predict(images)
        seconds = np.array([self._time(deployed, images) for _ in range(self.repeats)])
        low, median, high = (float(np.quantile(seconds, q)) for q in (0.05, 0.5, 0.95))
        axes = {
            "batch": self.batch,
            "warmup": self.warmup,
            "threads": torch.get_num_threads(),
            "device": evidence.steps.device.type,
        }
        shared: dict[str, Any] = {"n": self.repeats, "axes": axes}
        yield robench.Value(
            metric="latency", value=median, low=low, high=high, unit="s", better="lower", **shared
        )
        yield robench.Value(metric="latency_p95", value=high, unit="s", better="lower", **shared)
        yield robench.Value(
            metric="throughput",
            value=self.batch / median,
            low=self.batch / high,
            high=self.batch / low,
            unit="img/s",
            **shared,
        )

    @staticmethod
    def _time(deployed: robench.Deployed, images: object) -> float:
        start = time.perf_counter()
        deployed.predict(images)  # type: ignore[arg-type]
        return time.perf_counter() - start
