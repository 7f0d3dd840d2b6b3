"""Votes of a float classifier under continuous noise: the baseline of Cohen et al. (2019)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.core.batches import ASKED, at_once
from robench.smoothing.noise import Noise
from robench.smoothing.philox import keys_of
from robench.smoothing.votes import Labels, as_pixels, count_votes


@dataclass(frozen=True, kw_only=True)
class FloatVotes:
    """Votes under noise of the law `gaussian`; certificates from them are approximate.

    `images` are uint8, (N, ...); `labels` maps float32 images in [0,1] plus noise, not clipped, to
    labels. `streams` as in IntegerVotes. Draw j of image i depends on the seed alone; labels of
    float kernels may still depend on the batch size.
    """

    images: NDArray[np.uint8]
    labels: Labels
    classes: int
    noise: Noise
    seed: int
    batch: int = 400
    streams: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        as_pixels(self.images)
        if self.noise.law != "gaussian":
            raise UserError(f"expected the law gaussian, got {self.noise.law}; use IntegerVotes")

    @property
    def pixels(self) -> int:
        """Pixels of an image, channels included."""
        return int(np.prod(self.images.shape[1:]))

    def votes(self, images: NDArray[np.int64], first_draw: int, count: int) -> NDArray[np.int64]:
        """See VoteSource."""
        counts = np.zeros((len(images), self.classes), dtype=np.int64)
        batch = at_once(self.images.shape[1:], ASKED, self.batch)
        count_votes(counts, self.noisy, self.labels, images, first_draw, count, batch)
        return counts

    def noisy(self, image: int, first_draw: int, count: int) -> NDArray[np.float32]:
        """Consecutive draws of one image under noise: float32 in [0,1] units, (count, ...)."""
        stream = image if self.streams is None else int(self.streams[image])
        clean = self.images[image].astype(np.float32) / np.float32(255)
        draws = [self._draw(stream, first_draw + j) for j in range(count)]
        noise: NDArray[np.float32] = np.float32(self.noise.sigma) * np.stack(draws)
        noise += clean
        return noise

    def _draw(self, stream: int, draw: int) -> NDArray[np.float32]:
        """Standard normal numbers; each draw owns the counters (*, draw, stream, 1)."""
        bits = np.random.Philox(
            key=np.array(keys_of(self.seed).leading, dtype=np.uint64),
            counter=np.array([0, draw, stream, 1], dtype=np.uint64),
        )
        return np.random.Generator(bits).standard_normal(self.images.shape[1:], dtype=np.float32)
