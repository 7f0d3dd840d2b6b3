"""What certifiers return, and Cohen's file format for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robench.smoothing.radius import ABSTAIN
from robench.smoothing.votes import VoteSource


class VoteCertifier(Protocol):
    """Anything that turns vote counts into certificates."""

    @property
    def alpha(self) -> float:
        """Probability that a certificate is false, for each image."""
        ...

    def certify(
        self, votes: VoteSource, images: NDArray[np.int64], radii: Sequence[float]
    ) -> Certificates:
        """Certify images, given by their positions in the source, int64 (N,), at L2 radii in [0,1]
        units that increase from 0."""
        ...


def _none() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """One row per image, integers only.

    `prediction`: label or ABSTAIN. `radius2`: certified squared radius in 8-bit units (-1 when
    abstaining): the label is the same on every 8-bit perturbation delta with |delta|^2 <= radius2.
    `hits` of `draws` counting draws voted for the label; `selection` draws chose it: all 0 where
    they are not given, of certificates that no count of votes stands behind. `radii` are
    the ones that were tested, in [0,1] units: of no other one do these certificates tell which
    images reach it. None: all were, since each image has its largest radius. `deployable`
    is False in benchmark mode, where the true label was given: that measures certified accuracy
    but certifies no classifier that could ship.
    """

    prediction: NDArray[np.int64]
    radius2: NDArray[np.int64]
    hits: NDArray[np.int64] = field(default_factory=_none)
    draws: NDArray[np.int64] = field(default_factory=_none)
    selection: int = 0
    radii: tuple[float, ...] | None = None
    deployable: bool = True

    def __post_init__(self) -> None:
        abstained = self.prediction == ABSTAIN
        if not np.array_equal(abstained, self.radius2 == ABSTAIN):
            raise ValueError("expected a radius exactly where there is a label")
        for name in ("hits", "draws"):
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, np.zeros_like(self.prediction))


def write_tsv(
    path: Path,
    certificates: Certificates,
    *,
    index: ArrayLike,
    labels: ArrayLike,
    seconds: ArrayLike,
    seed: int,
) -> None:
    """Write rows as `certify.py` of Cohen et al. does, with columns for checking after theirs.

    Radii are in [0,1] units with three significant digits rounded down (the original rounds to
    nearest, which may overstate); radius2, exact, is in squared 8-bit units.
    """
    lines = ["idx\tlabel\tpredict\tradius\tcorrect\ttime\tradius2\thits\tdraws\tseed"]
    c = certificates
    columns = (index, labels, seconds, c.prediction, c.radius2, c.hits, c.draws)
    for i, label, took, guess, squared, hits, draws in zip(
        *(np.asarray(column).tolist() for column in columns), strict=True
    ):
        head = f"{i}\t{label}\t{guess}\t{_down(squared)}\t{int(guess == label)}"
        tail = f"{timedelta(seconds=took)}\t{squared}\t{hits}\t{draws}\t{seed}"
        lines.append(f"{head}\t{tail}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _down(squared: int) -> str:
    """Square root of a squared 8-bit radius, in [0,1] units, three significant digits down."""
    radius = np.sqrt(max(squared, 0)) / 255
    if radius == 0:
        return "0.0"
    unit = 10.0 ** (np.floor(np.log10(radius)) - 2)
    return f"{np.floor(radius / unit) * unit:.3}"
