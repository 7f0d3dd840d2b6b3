"""Certified accuracy of a smoothed classifier, from vote counts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import robench

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.smoothing import Certificates

CHUNK = 25
"""Images certified together: several share a batch, and progress shows between."""


@dataclass(frozen=True, kw_only=True)
class Certified(robench.Metric):
    """Certified accuracy at radii, certified percentage, average radius, abstention."""

    radii: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 0.75])
    """L2 radii in [0,1] pixels."""
    images: int = 500
    """Judged images to certify, evenly spaced."""

    def __post_init__(self) -> None:
        robench.require_positive(images=self.images)
        robench.require(
            bool(self.radii) and all(radius >= 0 for radius in self.radii),
            f"expected radii >= 0, got {list(self.radii)}",
        )

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Certify and yield values over all certified points; adds the table `certificates`."""
        import numpy as np
        import pandas as pd

        from robench.smoothing.bounds import lower_bound

        rows = np.unique(np.linspace(0, len(evidence.test) - 1, self.images).round().astype(int))
        labels = evidence.test.labels.numpy()[rows]
        certificates, seconds, about = _certify(evidence, rows)
        alpha = float(about["alpha"])
        evidence.tables["certificates"] = pd.DataFrame(
            {
                "image": evidence.steps.subset.numpy()[rows],
                "label": labels,
                "prediction": certificates.prediction,
                "radius2": certificates.radius2,
                "hits": certificates.hits,
                "draws": certificates.draws,
                "p_lower": [
                    float(lower_bound(int(hits), int(draws), alpha))
                    for hits, draws in zip(certificates.hits, certificates.draws, strict=True)
                ],
                "seconds": seconds,
                "seed": about["seed"],
            }
        )
        del about["seed"]
        yield from self._values(certificates, labels, about)

    def _values(
        self, certificates: Certificates, labels: NDArray[np.int64], about: dict[str, Any]
    ) -> Iterator[robench.Value]:
        from robench.smoothing import metrics

        n = len(labels)
        for radius in self.radii:
            axes = {**about, "radius": radius}
            share = metrics.certified_accuracy(certificates, labels, radius)
            yield _share("certified_accuracy", share, n, axes)
            yield _share(
                "certified_percentage_at",
                metrics.certified_percentage(certificates, radius),
                n,
                axes,
            )
            printed = metrics.certified_accuracy_eq10(certificates, labels, radius)
            yield robench.Value(
                metric="certified_accuracy_eq10",
                value=None if math.isnan(printed) else printed,
                unit="share",
                axes=axes,
            )
        yield _share("certified_percentage", metrics.certified_percentage(certificates), n, about)
        abstained = metrics.abstention(certificates)
        yield _share("certificate_abstention", abstained, n, about, better="lower")
        yield robench.Value(
            metric="average_certified_radius",
            value=metrics.average_certified_radius(certificates, labels),
            n=n,
            unit="[0,1] L2",
            axes=about,
        )
        yield robench.Value(
            metric="draws_per_image",
            value=float(certificates.draws.mean()),
            n=n,
            better="lower",
            axes=about,
        )


def _certify(
    evidence: robench.Evidence, rows: NDArray[np.int64]
) -> tuple[Certificates, list[float], dict[str, Any]]:
    """Certificates of the test images at `rows`, seconds of each, and what they hold under."""
    import numpy as np

    from robench.progress import progress
    from robench.smoothing import Certificates
    from robench.smoothing.classifier import SmoothedDeployed

    steps, deployed = evidence.steps, evidence.system.deployed
    if not isinstance(deployed, SmoothedDeployed):
        raise robench.ConfigError(
            "expected a smoothed system for metric=certified; use defense=intrs or float_rs"
        )
    name, certifier = next(iter(steps.config.certifier.items()))
    seed = steps.certify_seed
    source = deployed.votes(evidence.test.images.numpy()[rows], seed, steps.subset.numpy()[rows])
    parts, seconds = [], []
    with progress("certify", len(rows)) as advance:
        for chunk in np.array_split(np.arange(len(rows)), math.ceil(len(rows) / CHUNK)):
            start = time.perf_counter()
            parts.append(certifier.certify(source, chunk))
            each = (time.perf_counter() - start) / len(chunk)
            seconds += [each] * len(chunk)
            advance(len(chunk))
    joined: dict[str, Any] = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in ("prediction", "radius2", "hits", "draws")
    }
    noise = deployed.noise
    about = {
        "certifier": name,
        "alpha": certifier.alpha,
        "sigma": float(noise.sigma),
        "law": noise.law,
        "exact": noise.law != "gaussian" and hasattr(deployed.base, "program"),
        "seed": seed,
    }
    return Certificates(**joined, selection=parts[0].selection), seconds, about


def _share(
    metric: str, share: float, n: int, axes: dict[str, Any], better: Any = "higher"
) -> robench.Value:
    from robench.stats import wilson

    low, high = wilson(round(share * n), n)
    return robench.Value(
        metric=metric, value=share, low=low, high=high, n=n, unit="share", better=better, axes=axes
    )
