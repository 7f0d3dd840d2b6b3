"""Classifiers small enough that their smoothed labels are known, by summation, at every image.

An image is two 8-bit pixels, so that all 65,536 of them can be looked at: where the label under
noise changes, and so which certificates are false, is known exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robench.base.stats import at_most, explained
from robench.core.outcomes import ABSTAIN
from robench.smoothing import Certificates, Noise

Grid = NDArray[np.int64]
Classifier = Callable[[Grid, Grid], Grid]
"""The two pixels of noisy images, any integers -> labels 0, 1 or 2, of the same shape."""

LEVELS = 4
"""The noise's s = 255 sigma, in 8-bit units."""
NOISE = Noise(sigma=Fraction(LEVELS, 255))
RADII = tuple(d / 255 + 1e-12 for d in (0, 1, 2, 4, 6, 8, 10, 12))
"""Radii asked for, in [0,1] units: the distances at which half-spaces end, so that the largest one
that a half-space does not reach is the easiest to certify by mistake."""
CLASSES, SIDE, REACH = 3, 256, 12 * LEVELS
TIE = 1e-9
"""Classes nearer to each other than this have one probability."""
TIGHT = 0.02
"""In quantiles of the normal distribution."""
CHANCE, POWER = 1e-6, 0.99
"""The chance that a sound certifier fails; with what probability one that is `visible` does."""


def _halfspace(first: Grid, second: Grid) -> Grid:
    """Half of the line at 128 is on either side: there the probability is 1/2."""
    return np.where(first == 128, 1 - second % 2, first > 128)


def _diagonal(first: Grid, second: Grid) -> Grid:
    total = first + second
    return np.where(total == 256, 1 - first % 2, total > 256)


def _saturating(first: Grid, second: Grid) -> Grid:
    """All that lies below the pixel range counts as its edge."""
    del second
    return (np.clip(first, 0, 255) > 0).astype(np.int64)


def _corner(first: Grid, second: Grid) -> Grid:
    """Three classes, in sectors of the saturated range."""
    first, second = np.clip(first, 0, 255), np.clip(second, 0, 255)
    return np.where(first >= 250, 2, (second > first).astype(np.int64))


def _blob(first: Grid, second: Grid) -> Grid:
    return ((first - 128) ** 2 + (second - 128) ** 2 <= (2 * LEVELS) ** 2).astype(np.int64)


def _island(first: Grid, second: Grid) -> Grid:
    """Constant as far as noise of its middle reaches, and another label beyond."""
    far = np.maximum(abs(first - 128), abs(second - 128))
    return (far <= 4 * LEVELS).astype(np.int64)


def _salt(first: Grid, second: Grid) -> Grid:
    """Another label at a third of all points, at random: near 2/3 everywhere."""
    mixed = (first * 7919 + second * 104729) % 1009
    mixed = (mixed * mixed * 31 + first * 17 + second * 101) % 1009
    return (mixed >= 336).astype(np.int64)


def _salted(first: Grid, second: Grid) -> Grid:
    """A half-space whose label is another at a tenth of all points."""
    mixed = (first * 104729 + second * 7919) % 1013
    mixed = (mixed * mixed * 37 + first * 29 + second * 53) % 1013
    return np.where(mixed < 101, 2, _halfspace(first, second))


def _coin(first: Grid, second: Grid) -> Grid:
    """As likely one label as the other: no certificate is true."""
    return (first + second) % 2


CLASSIFIERS: tuple[Classifier, ...] = (
    _halfspace,
    _diagonal,
    _saturating,
    _corner,
    _blob,
    _island,
    _salt,
    _salted,
    _coin,
)


@dataclass(frozen=True)
class Truth:
    """A classifier under noise, at every image of two pixels."""

    probabilities: NDArray[np.float64]
    """Of each class: (256, 256, classes)."""
    ends2: NDArray[np.float64]
    """For each class the squared distance to the nearest image where it is not the label, in
    squared 8-bit units: 0 where it is not, inf where it always is. Shape (256, 256, classes)."""


@lru_cache(maxsize=len(CLASSIFIERS))
def truth(classifier: Classifier) -> Truth:
    """A classifier's smoothed probabilities, by summing over all noise, and where labels end."""
    steps = np.arange(-REACH, REACH + 1)
    law = np.exp(-(steps**2) / (2 * LEVELS**2))
    points = np.arange(-REACH, SIDE + REACH)
    labels = classifier(*np.meshgrid(points, points, indexing="ij"))
    smear = np.zeros((SIDE, len(points)))
    for at in range(SIDE):
        smear[at, at : at + len(steps)] = law / law.sum()
    shares = np.stack([smear @ (labels == c) @ smear.T for c in range(CLASSES)], axis=-1)
    lead = shares - _others(shares)
    ends = [_ends2(lead[..., c] > TIE) for c in range(CLASSES)]
    return Truth(shares, np.stack(ends, axis=-1))


def _others(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest probability of another class, for each class."""
    masked = [np.delete(shares, c, axis=-1).max(-1) for c in range(CLASSES)]
    return np.stack(masked, axis=-1)


def _ends2(holds: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Squared distances to the nearest image where a class is not the label."""
    from scipy import ndimage

    if holds.all():
        return np.full(holds.shape, np.inf)
    distances: NDArray[np.float64] = ndimage.distance_transform_edt(holds)
    return np.rint(distances**2)


@dataclass(frozen=True, eq=False)
class ExactVotes:
    """A source of votes that are drawn by known probabilities: what a certifier is handed.

    A draw of an image is the same whenever it is asked for.
    """

    images: NDArray[np.uint8]
    """Shape (N, 1, 1, 2)."""
    probabilities: NDArray[np.float64]
    """Of the N images: (N, classes)."""
    ends2: NDArray[np.float64]
    """As in Truth: (N, classes)."""
    seed: int
    noise: Noise = NOISE
    pixels: int = 2

    BLOCK = 500

    def votes(self, images: Grid, first_draw: int, count: int) -> Grid:
        """See VoteSource."""
        found = np.zeros((len(images), CLASSES), dtype=np.int64)
        draw = first_draw
        while draw < first_draw + count:
            block, start = divmod(draw, self.BLOCK)
            stop = min(self.BLOCK, start + first_draw + count - draw)
            found += self._drawn(images, block, start, stop)
            draw += stop - start
        return found

    def _drawn(self, images: Grid, block: int, start: int, stop: int) -> Grid:
        rng = np.random.default_rng((self.seed, block))
        uniform = rng.random((len(self.images), self.BLOCK), dtype=np.float32)[images, start:stop]
        below = self.probabilities.cumsum(1)[images, :-1]
        least = (uniform[:, :, None] < below[:, None, :]).sum(1)
        found: Grid = np.diff(least, axis=1, prepend=0, append=stop - start)
        return found


def sample(count: int, seed: int) -> ExactVotes:
    """`count` images, three quarters of them where a mistake is easiest.

    There the label is as probable as the theorem of smoothing asks for at the distance where it
    ends, to within `TIGHT`; the others are of all classifiers, wherever something can go wrong.
    """
    rng = np.random.default_rng(seed)
    easiest, others = zip(*map(_images, CLASSIFIERS), strict=True)
    pools = [(3 * count // 4, easiest), (count - 3 * count // 4, others)]
    chosen = [_drawn(many, [one for one in of if len(one)], rng) for many, of in pools]
    grids = [truth(classifier) for classifier in CLASSIFIERS]
    which, first, second = np.concatenate(chosen).T
    shares = np.stack([grid.probabilities for grid in grids])[which, first, second]
    ends2 = np.stack([grid.ends2 for grid in grids])[which, first, second]
    images = np.stack([first, second], axis=1).astype(np.uint8).reshape(-1, 1, 1, 2)
    return ExactVotes(images, shares, ends2, seed)


def _drawn(count: int, pools: Sequence[Grid], rng: np.random.Generator) -> Grid:
    """As many images of each pool: which classifier, and the two pixels; (count, 3)."""
    share = -(-count // len(pools))
    parts = [pool[rng.integers(len(pool), size=share)] for pool in pools]
    return np.concatenate(parts)[rng.permutation(share * len(pools))[:count]]


def _images(classifier: Classifier) -> tuple[Grid, Grid]:
    """A classifier's images where a mistake is easiest, and where one is possible: (N, 3)."""
    from scipy import special

    known, which = truth(classifier), CLASSIFIERS.index(classifier)
    best = known.probabilities.max(-1)
    end2 = np.take_along_axis(known.ends2, known.probabilities.argmax(-1)[..., None], -1)[..., 0]
    # At certainty no vote is ever missing.
    possible = best < 0.9995
    slack = abs(special.ndtri(best.clip(1e-9, 1 - 1e-9)) - np.sqrt(end2) / LEVELS)
    places = (np.argwhere(mask) for mask in (possible & (slack < TIGHT), possible))
    easiest, others = (np.insert(place, 0, which, axis=1) for place in places)
    return easiest, others


def false_certificates(source: ExactVotes, found: Certificates) -> NDArray[np.bool_]:
    """Which certificates promise a label beyond where it ends: bool (N,)."""
    given = found.prediction != ABSTAIN
    ends2 = source.ends2[np.arange(len(given)), np.where(given, found.prediction, 0)]
    false: NDArray[np.bool_] = given & (found.radius2 >= ends2)
    return false


def visible(certificates: int, alpha: float) -> float:
    """The least rate of false certificates that so many show with probability `POWER`.

    What chance allows of a rate alpha is more than `explained`, but for `CHANCE`.
    """
    limit, low, high = explained(certificates, alpha, CHANCE), alpha, 1 - 1e-12
    if at_most(limit, certificates, high) > 1 - POWER:
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        seen = at_most(limit, certificates, middle) <= 1 - POWER
        low, high = (low, middle) if seen else (middle, high)
    return high
