"""Data sets read piece by piece, so that none of them has to fit in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from robench.base.errors import DataError, PluginError
from robench.base.progress import progress
from robench.core.data import Data, NoImages, Split, check_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.core.threat import UsualThreat

PIECE = 2**25
"""Bytes of pixels that are read at a time; one image, where it is larger."""


class Images(ABC):
    """The images of a split, 8-bit pixels (N, C, H, W), none of them read yet."""

    decoded: ClassVar[bool] = False
    """Whether reading takes so long that processes share it; what `of` gives is pickled then."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int, int]:
        """Images, channels, height, width."""

    @abstractmethod
    def of(self, start: int, stop: int) -> Images:
        """Those from `start` to before `stop`; pieces are asked for in order."""

    @abstractmethod
    def read(self) -> NDArray[np.uint8]:
        """All pixels: uint8 (N, C, H, W); raises DataError for what cannot be read."""

    @property
    def image_bytes(self) -> int:
        """Bytes of an image."""
        _, channels, height, width = self.shape
        return channels * height * width

    @property
    def piece(self) -> int:
        """Images that are read at a time."""
        return max(1, PIECE // self.image_bytes)


@dataclass(frozen=True)
class Held(Images):
    """Images that are in memory."""

    pixels: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """See Images."""
        count, channels, height, width = self.pixels.shape
        return count, channels, height, width

    def of(self, start: int, stop: int) -> Images:
        """See Images."""
        return Held(self.pixels[start:stop])

    def read(self) -> NDArray[np.uint8]:
        """See Images."""
        return self.pixels.contiguous().numpy()


@dataclass(frozen=True)
class Part:
    """A split that is not read yet: its images, and their labels, int64 (N,)."""

    images: Images
    labels: Tensor

    def __post_init__(self) -> None:
        count = self.images.shape[0]
        if self.labels.dtype != torch.int64 or self.labels.shape != (count,):
            raise DataError(
                f"expected {count} int64 labels, got {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        if count == 0:
            raise DataError("expected at least one image, got an empty split")


@dataclass(frozen=True)
class Source:
    """A data set whose pixels are not read yet; `train` is None where there is nothing to train on.

    Raises DataError when a label lies outside the classes or the two splits differ in shape.
    """

    train: Part | None
    test: Part
    classes: tuple[str, ...]
    threat: UsualThreat

    def __post_init__(self) -> None:
        check_parts(
            {name: (part.images.shape[1:], part.labels) for name, part in self.parts.items()},
            len(self.classes),
        )

    @classmethod
    def of(cls, data: Data) -> Source:
        """Data that are in memory; raises PluginError for what is none."""
        if not isinstance(data, Data):
            raise PluginError(f"expected load to return a Data, got {type(data).__name__}")
        parts = {name: Part(Held(s.images), s.labels) for name, s in data.splits.items()}
        return cls(parts.get("train"), parts["test"], data.classes, data.threat)

    @property
    def parts(self) -> Mapping[str, Part]:
        """The splits that have images, by name: train, test."""
        own = {"train": self.train} if self.train else {}
        return {**own, "test": self.test}

    def outline(self, hash: str) -> Data:
        """What a plan needs: of images that are not in memory the first stands for all.

        `hash` is given to such data; of data in memory it is their own. Raises DataError.
        """
        every = [isinstance(part.images, Held) for part in self.parts.values()]
        splits = {name: Split(_alike(one.images), one.labels) for name, one in self.parts.items()}
        train = splits.get("train", NoImages())
        known = "" if all(every) else hash
        return Data(train, splits["test"], self.classes, self.threat, known)

    def load(self) -> Data:
        """All of it in memory; raises DataError."""
        splits = {name: Split(_read(one.images), one.labels) for name, one in self.parts.items()}
        return Data(splits.get("train", NoImages()), splits["test"], self.classes, self.threat)


def _alike(images: Images) -> Tensor:
    """The pixels, or the first image for each, which takes no more memory than one."""
    if isinstance(images, Held):
        return images.pixels
    return torch.tensor(images.of(0, 1).read()).expand(images.shape)


def _read(images: Images) -> Tensor:
    count, step = images.shape[0], images.piece
    result = torch.empty(images.shape, dtype=torch.uint8)
    with progress("read", count) as advance:
        for start in range(0, count, step):
            stop = min(start + step, count)
            result.numpy()[start:stop] = images.of(start, stop).read()
            advance(stop - start)
    return result
