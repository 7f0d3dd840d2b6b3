"""Where certifiers get their vote counts from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from robench.base.errors import UserError
from robench.core.batches import ASKED, at_once
from robench.smoothing.noise import Noise, noise_table
from robench.smoothing.philox import keys_of
from robench.smoothing.sampling import draw

Labels = Callable[[NDArray[Any]], NDArray[Any]]


class VoteSource(Protocol):
    """A smoothed classifier, seen as counts of the labels it gave under noise."""

    @property
    def noise(self) -> Noise:
        """The law of the noise: the certificate's sigma is read from here."""
        ...

    @property
    def pixels(self) -> int:
        """Pixels of an image, channels included."""
        ...

    @property
    def images(self) -> NDArray[np.uint8]:
        """The images without noise, (N, ...): for claims by other means than votes."""
        ...

    def votes(self, images: NDArray[np.int64], first_draw: int, count: int) -> NDArray[np.int64]:
        """Labels counted over draws first_draw ... first_draw + count - 1 of each image.

        `images` are positions in the source; int64, shape (len(images), classes). A draw of an
        image is the same whenever it is asked for, and independent of every other one.
        """
        ...


def as_pixels(images: NDArray[Any]) -> NDArray[np.uint8]:
    """8-bit images as rows of pixels; UserError for another type, which is off the 8-bit grid."""
    if images.dtype != np.uint8:
        raise UserError(
            f"expected uint8 images, got {images.dtype}; round them onto the 8-bit grid"
        )
    return np.ascontiguousarray(images.reshape(len(images), math.prod(images.shape[1:])))


def require_fixed_function(labels: Labels, inputs: NDArray[Any]) -> None:
    """Refuse with UserError a classifier whose label of an image depends on its batch.

    Certificates are about one fixed function of one image: batch statistics, dynamic ranges and
    kernels chosen by batch size break them. `inputs` is a batch as `labels` takes it.
    """
    whole = labels(inputs)
    alone = np.concatenate([labels(inputs[i : i + 1]) for i in range(len(inputs))])
    turned = labels(inputs[::-1])[::-1]
    if not (np.array_equal(whole, alone) and np.array_equal(whole, turned)):
        raise UserError(
            "expected a label that depends on its image alone, got one that changes with the "
            "batch; put the network in eval mode and fix its quantization ranges"
        )


@dataclass(frozen=True, kw_only=True)
class IntegerVotes:
    """Votes of a classifier of integer images, in numpy: the reference of the compiled one.

    `images` are uint8, (N, ...); `labels` maps int16 images (B, ...), that is image plus noise and
    not saturated, to labels. Several images share a batch. `streams` are the images' noise stream
    numbers, by default their positions: the number in the whole test set keeps the noise of an
    image when the subset changes.
    """

    images: NDArray[np.uint8]
    labels: Labels
    classes: int
    noise: Noise
    seed: int
    batch: int = 256
    streams: NDArray[np.int64] | None = field(default=None)

    def __post_init__(self) -> None:
        as_pixels(self.images)

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

    def noisy(self, image: int, first_draw: int, count: int) -> NDArray[np.int16]:
        """Consecutive draws of one image under noise: int16, (count, ...), not saturated."""
        stream = image if self.streams is None else int(self.streams[image])
        noise = draw(
            noise_table(self.noise), keys_of(self.seed), stream, first_draw, count, self.pixels
        )
        noise += self.images[image].reshape(-1)
        return noise.reshape(count, *self.images.shape[1:])


def count_votes(
    counts: NDArray[np.int64],
    noisy: Callable[[int, int, int], NDArray[Any]],
    labels: Labels,
    images: NDArray[np.int64],
    first_draw: int,
    draws: int,
    batch: int,
) -> None:
    """Add to `counts` the labels of `draws` draws of each image; images share batches."""
    for rows, pieces in _batches(len(images), draws, batch):
        inputs = [noisy(int(images[row]), first_draw + a, b - a) for row, (a, b) in pieces]
        np.add.at(counts, (rows, labels(np.concatenate(inputs))), 1)


Piece = tuple[int, tuple[int, int]]


def _batches(images: int, count: int, size: int) -> list[tuple[NDArray[np.int64], list[Piece]]]:
    """Cut images x draws into batches: for each, the row of every draw, and (row, range) pieces."""
    batches = []
    for start in range(0, images * count, size):
        stop = min(start + size, images * count)
        rows = np.arange(start, stop) // count
        pieces = [
            (int(row), (max(start - row * count, 0), min(stop - row * count, count)))
            for row in range(start // count, (stop - 1) // count + 1)
        ]
        batches.append((rows, pieces))
    return batches
