"""Which radii each certifier certifies, and how many draws it takes, on one record's network.

    python benchmarks/certifiers.py RECORD

All read the same draws, those of the record's own seed, so that they differ by their rules alone:
the votes of every image are counted once, up to 100,000 draws (with `small_cnn` on the 360 digits
three minutes of one core). `sequential` is shown with the usual four radii and with all of the
table's: of a radius that it was not asked for it says nothing, and the column is blank.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robench.replay.rebuild import rebuild
from robench.run.config import Places
from robench.smoothing import (
    Adaptive,
    Certificates,
    Cohen,
    Noise,
    Sequential,
    SmoothedDeployed,
    VoteSource,
    metrics,
)
from robench.smoothing.thresholds import looks_up_to

Counts = NDArray[np.int64]

N1, MOST = 100, 100_000
USUAL, ALL = (0.0, 0.25, 0.5, 0.75), (0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75)
FIXED = (1_000, 10_000, MOST)
STAGES = Adaptive(n1=N1)
CERTIFIERS: list[tuple[str, Any, tuple[float, ...]]] = [
    *((f"cohen {n:,}", Cohen(n1=N1, n2=n), ALL) for n in FIXED),
    ("sequential 10,000", Sequential(n1=N1, n2=10_000), USUAL),
    ("sequential", Sequential(n1=N1), USUAL),
    ("sequential, all radii", Sequential(n1=N1), ALL),
    ("adaptive", STAGES, USUAL),
]
EDGES = np.unique(
    [0, *(N1 + np.concatenate([[0], FIXED, looks_up_to(10_000), looks_up_to(MOST)])),
     *(N1 + np.cumsum(STAGES.stages))]
)  # fmt: skip
"""Draws of an image at which some certifier begins or ends to count."""


class Replay:
    """The votes of a source, counted once between two edges, and how often they were asked for."""

    def __init__(self, source: VoteSource, images: int) -> None:
        rows = np.arange(images)
        counts = [source.votes(rows, int(a), int(b - a)) for a, b in pairwise(EDGES)]
        self.until: Counts = np.cumsum([np.zeros_like(counts[0]), *counts], axis=0)
        self.noise: Noise = source.noise
        self.pixels: int = source.pixels
        self.asked = 0

    def votes(self, images: Counts, first_draw: int, count: int) -> Counts:
        """See VoteSource."""
        first, last = np.searchsorted(EDGES, [first_draw, first_draw + count])
        assert [*EDGES[[first, last]]] == [first_draw, first_draw + count]
        self.asked += len(images) * count
        counted: Counts = self.until[last, images] - self.until[first, images]
        return counted


def row(name: str, found: Certificates, truth: Counts, draws: float, radii: Sequence[float]) -> str:
    """One line of the table."""
    shares = [
        f"{metrics.certified_accuracy(found, truth, radius):.1%}" if radius in radii else ""
        for radius in ALL
    ]
    average = metrics.average_certified_radius(found, truth)
    return " | ".join(
        [
            f"| {name}",
            f"{draws:,.0f}",
            f"{metrics.abstention(found):.1%}",
            f"{average:.3f}",
            *shares,
        ]
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table of a record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("record", type=Path, help="folder of a record of a smoothed network")
    evidence = rebuild(parser.parse_args(arguments).record, Places.from_environment()).evidence
    test, deployed = evidence.data.test, evidence.system.deployed
    if not isinstance(deployed, SmoothedDeployed):
        raise SystemExit("expected the record of a smoothed network; use defense=intrs")
    truth = test.labels.numpy()
    source = Replay(deployed.votes(test.images.numpy(), evidence.certify_seed), len(truth))
    print(" | ".join(["| certifier", "draws", "abstains", "ACR", *map(str, ALL)]), "|")
    print("|---" * (4 + len(ALL)) + "|")
    for name, certifier, radii in CERTIFIERS:
        source.asked = 0
        found = certifier.certify(source, np.arange(len(truth)), radii)
        print(row(name, found, truth, source.asked / len(truth), radii), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
