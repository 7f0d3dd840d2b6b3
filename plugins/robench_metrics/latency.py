"""Latency: how long the deployed model takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import robench
from robench_metrics.runtimes import check_runtimes, runtimes


@dataclass(frozen=True, kw_only=True)
class Latency(robench.Metric):
    """Seconds per batch of the deployed model (median, p95) and images per second.

    Values of other runtimes carry the axis `runtime`.
    """

    timed: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = (
        "latency",
        "latency_p95",
        "throughput",
    )

    batch: int = 1
    """Images per call."""
    repeats: int = 50
    """Timed calls."""
    warmup: int = 5
    """Calls before the timed ones."""
    beside: list[str] = field(default_factory=list)
    """Other runtimes timed in turn with it: eager (the float network), onnxruntime, openvino."""

    def __post_init__(self) -> None:
        robench.require_positive(batch=self.batch, repeats=self.repeats)
        robench.require(self.warmup >= 0, f"expected warmup >= 0, got {self.warmup}")
        check_runtimes(self.beside)

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Median and 95th percentile with the 5th to 95th percentile as interval, and the rate."""
        images = evidence.test.float_images(self.batch)
        images = images.repeat(-(-self.batch // len(images)), 1, 1, 1)[: self.batch]
        sides = {"": evidence.system.deployed} | runtimes(self.beside, evidence)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for call in range(self.warmup + self.repeats):
            for name, deployed in sides.items():
                taken = self._time(deployed, images)
                if call >= self.warmup:
                    seconds[name].append(taken)
        for name, times in seconds.items():
            yield from self._values(name, times, evidence)

    def _values(
        self, name: str, times: list[float], evidence: robench.Evidence
    ) -> Iterable[robench.Value]:
        import numpy as np
        import torch

        low, median, high = (float(np.quantile(times, q)) for q in (0.05, 0.5, 0.95))
        axes: dict[str, Any] = {
            "batch": self.batch,
            "warmup": self.warmup,
            "threads": torch.get_num_threads(),
            "device": evidence.device.type,
        }
        if name:
            axes["runtime"] = name
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
