"""Certified accuracy of a smoothed classifier, from vote counts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

import robench
from robench_metrics.smoothed import Chosen, choose

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robench.smoothing import Certificates

CHUNK = 25
"""Images certified together: several share a batch, and progress shows between."""


@dataclass(frozen=True, kw_only=True)
class Certified(robench.Metric):
    """Certified accuracy at radii, certified percentage, average radius, abstention."""

    reads: ClassVar[Literal["outcomes", "deployed", "models"]] = "deployed"
    votes: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = (
        "certified_accuracy",
        "certified_percentage_at",
        "certified_accuracy_eq10",
        "certified_percentage",
        "certificate_abstention",
        "average_certified_radius",
        "draws_per_image",
    )

    version: ClassVar[str] = "2"

    radii: list[float] = field(default_factory=lambda: [0.0, 0.25, 0.5, 0.75])
    """L2 radii in [0,1] pixels, increasing from 0: what the certifier tests, and what is
    reported."""
    images: int = 500
    """Images to certify at most."""
    every: Optional[int] = None
    """Certify every n-th image of the whole test set; none given: judged images, evenly spaced."""

    def __post_init__(self) -> None:
        robench.require_positive(images=self.images, every=self.every or 1)
        meant = sorted({0.0, *(radius for radius in self.radii if 0 < radius < math.inf)})
        robench.require(
            bool(self.radii)
            and self.radii[0] == 0
            and all(a < b < math.inf for a, b in pairwise(self.radii)),
            f"expected finite radii that increase from 0, got {list(self.radii)}; set "
            f"radii={meant}",
        )

    def measure(self, evidence: robench.Evidence) -> Iterable[robench.Value]:
        """Certify and yield values over all certified points; adds the table `certificates`."""
        chosen = choose(evidence, self.images, self.every)
        certificates, seconds, about = _certify(evidence, chosen, self.radii)
        evidence.tables["certificates"] = _table(chosen, certificates, seconds)
        yield from self._values(certificates, chosen.labels, about)

    def _values(
        self, certificates: Certificates, labels: NDArray[np.int64], about: dict[str, Any]
    ) -> Iterator[robench.Value]:
        from robench import smoothing

        metrics = smoothing.metrics

        n = len(labels)
        for radius in self.radii:
            axes = {**about, "radius": radius}
            right = metrics.certified_accuracy(certificates, labels, radius)
            yield _share("certified_accuracy", right, n, axes)
            reached = metrics.certified_percentage(certificates, radius)
            yield _share("certified_percentage_at", reached, n, axes)
            printed = metrics.certified_accuracy_eq10(certificates, labels, radius)
            yield robench.Value(
                metric="certified_accuracy_eq10",
                value=None if math.isnan(printed) else printed,
                unit="share",
                axes=axes,
            )
        given, abstained = (
            metrics.certified_percentage(certificates),
            metrics.abstention(certificates),
        )
        yield _share("certified_percentage", given, n, about)
        yield _share("certificate_abstention", abstained, n, about, better="lower")
        yield robench.Value(
            metric="average_certified_radius",
            value=metrics.average_certified_radius(certificates, labels),
            n=n,
            unit="[0,1] L2",
            axes=about | _grid(certificates),
        )
        yield robench.Value(
            metric="draws_per_image",
            value=float(certificates.draws.mean()),
            n=n,
            better="lower",
            axes=about,
        )


def _share(
    metric: str,
    value: float,
    n: int,
    axes: dict[str, Any],
    better: Literal["higher", "lower"] = "higher",
) -> robench.Value:
    """A share of n images, blank where it is not known (NaN)."""
    if math.isnan(value):
        return robench.Value(metric=metric, value=None, unit="share", better=better, axes=axes)
    return robench.share(metric, round(value * n), n, axes, better)


def _grid(certificates: Certificates) -> dict[str, Any]:
    """The axis of values that are about a list of radii; none where each image has its largest."""
    radii = certificates.radii
    return {} if radii is None else {"grid": " ".join(f"{radius:g}" for radius in radii)}


def _table(chosen: Chosen, certificates: Certificates, seconds: list[float]) -> dict[str, Any]:
    """A row an image."""
    return {
        "image": chosen.numbers,
        "label": chosen.labels,
        "prediction": certificates.prediction,
        "radius2": certificates.radius2,
        "hits": certificates.hits,
        "draws": certificates.draws,
        "seconds": seconds,
        "seed": [chosen.seed] * len(seconds),
    }


def _certify(
    evidence: robench.Evidence, chosen: Chosen, radii: list[float]
) -> tuple[Certificates, list[float], dict[str, Any]]:
    """Certificates, seconds of each image, and what they hold under."""
    import numpy as np

    from robench.smoothing import Certificates

    name, certifier = evidence.certifier
    source, rows = chosen.source, np.arange(len(chosen.labels))
    parts, seconds = [], []
    with robench.progress("certify", len(rows)) as advance:
        for chunk in np.array_split(rows, math.ceil(len(rows) / CHUNK)):
            start = time.perf_counter()
            parts.append(certifier.certify(source, chunk, radii))
            each = (time.perf_counter() - start) / len(chunk)
            seconds += [each] * len(chunk)
            advance(len(chunk))
    joined: dict[str, Any] = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in ("prediction", "radius2", "hits", "draws")
    }
    noise = chosen.deployed.noise
    about = {
        "certifier": name,
        "alpha": float(certifier.alpha),
        "sigma": float(noise.sigma),
        "law": noise.law,
        "exact": chosen.deployed.exact,
    }
    first = parts[0]
    found = Certificates(**joined, selection=first.selection, radii=first.radii)
    return found, seconds, about
