"""Images and labels as every step of a run sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from robench.base.errors import DataError
from robench.core.pixels import floats

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from robench.core.threat import UsualThreat


@dataclass(frozen=True)
class Split:
    """Labelled images: `images` uint8 (N, C, H, W), 8-bit pixels; `labels` int64 (N,).

    Raises DataError when empty, misshapen or of other types.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        for name, given in (("images", self.images), ("labels", self.labels)):
            if not isinstance(given, torch.Tensor):
                raise DataError(
                    f"expected a torch tensor of {name}, got {type(given).__name__}; "
                    "use torch.from_numpy for a numpy array"
                )
        if self.images.dtype != torch.uint8 or self.images.dim() != 4:
            raise DataError(
                f"expected uint8 images of shape (N, C, H, W), got {self.images.dtype} "
                f"{tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"expected {len(self.images)} int64 labels, got {self.labels.dtype} "
                f"{tuple(self.labels.shape)}"
            )
        if len(self.images) == 0:
            raise DataError("expected at least one image, got an empty split")

    def __len__(self) -> int:
        return len(self.labels)

    def float_images(self, count: int | None = None) -> Tensor:
        """The images, or the first `count` of them, as float32 in [0,1]."""
        return floats(self.images[:count])

    def take(self, index: Tensor | slice) -> Split:
        """The images and labels at `index` (int64), or of a run that is not empty."""
        return Split(self.images[index], self.labels[index])


class NoImages(Split):
    """The training images of data that came without any: reading them raises DataError."""

    def __init__(self) -> None:
        pass

    def __repr__(self) -> str:
        return "NoImages()"

    def __len__(self) -> int:
        return 0

    @property
    def images(self) -> Tensor:
        """Raises DataError."""
        raise _missing()

    @property
    def labels(self) -> Tensor:
        """Raises DataError."""
        raise _missing()


def _missing() -> DataError:
    return DataError(
        "expected training images, got data to test on alone; give both: "
        "{'train': (images, labels), 'test': (images, labels)}, or set the option of the data set "
        "that asks for some"
    )


@dataclass(frozen=True)
class Data:
    """A data set: train and test splits, class names and the threat it is usually judged under.

    `train` is `NoImages()` where there is nothing to train on.

    Raises DataError when a label lies outside the classes or the two splits differ in shape.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    threat: UsualThreat
    hash: str = ""
    """SHA-256 of all pixels and labels, 16 hexadecimal digits; computed when not given."""

    def __post_init__(self) -> None:
        check_parts(
            {name: (split.images.shape[1:], split.labels) for name, split in self.splits.items()},
            len(self.classes),
        )
        if not self.hash:
            object.__setattr__(self, "hash", _hash_of(self.splits))

    @property
    def has_training(self) -> bool:
        """Whether there are images to train on."""
        return not isinstance(self.train, NoImages)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that have images, by name: train, test."""
        own = {"train": self.train} if self.has_training else {}
        return {**own, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        channels, height, width = self.test.images.shape[1:]
        return channels, height, width


def check_parts(parts: Mapping[str, tuple[tuple[int, ...], Tensor]], classes: int) -> None:
    """Raise DataError unless splits, each the shape of an image and its labels, make a data set."""
    shapes = {tuple(shape) for shape, _ in parts.values()}
    if len(shapes) > 1:
        first, second = (tuple(shape) for shape, _ in parts.values())
        raise DataError(f"expected train and test images of one shape, got {first} and {second}")
    for name, (_, labels) in parts.items():
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            raise DataError(f"expected {name} labels in 0..{classes - 1}, got {low}..{high}")


def content_hash(
    parts: Iterable[tuple[tuple[int, ...], Iterable[bytes | memoryview], Tensor]],
) -> str:
    """SHA-256 of splits, each a shape (N, C, H, W), its pixels in pieces, and its labels.

    16 hexadecimal digits, whatever the pieces.
    """
    digest = hashlib.sha256()
    for shape, pixels, labels in parts:
        digest.update(str(tuple(shape)).encode())
        for piece in pixels:
            digest.update(piece)
        digest.update(labels.numpy().tobytes())
    return digest.hexdigest()[:16]


def _hash_of(splits: Mapping[str, Split]) -> str:
    return content_hash(
        (split.images.shape, [_bytes(split.images)], split.labels) for split in splits.values()
    )


def _bytes(pixels: Tensor) -> memoryview:
    """The bytes of uint8 pixels, not copied where they lie together."""
    return pixels.contiguous().numpy().reshape(-1).data


def stratified(labels: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Indices of `count` images, classes in proportion, sorted: int64 (count,).

    Raises DataError unless 1 <= count <= len(labels).
    """
    if not 1 <= count <= len(labels):
        raise DataError(f"expected images between 1 and {len(labels)}, got {count}")
    order = torch.from_numpy(rng.permutation(len(labels)))
    shuffled = labels[order]
    # The k-th image of a class with n images sits at (k + 1/2) / n: taking the smallest positions
    # overall gives every class its share.
    position = torch.empty(len(labels), dtype=torch.float64)
    for label in shuffled.unique():
        member = (shuffled == label).nonzero().flatten()
        position[member] = (torch.arange(len(member), dtype=torch.float64) + 0.5) / len(member)
    return order[position.argsort(stable=True)[:count]].sort().values
