"""Images of an .npz file, made 8-bit and channels first as they are read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from robench import DataError, Images
from robench_data.rows import Rows


@dataclass(frozen=True)
class Stored(Images):
    """Rows `start` to `stop` of an array, its axes as `layout` says: nchw, nhwc or nhw."""

    rows: Rows
    layout: str
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """See Images."""
        axes = dict(zip(self.layout, self.rows.shape, strict=True))
        return self.stop - self.start, axes.get("c", 1), axes["h"], axes["w"]

    def of(self, start: int, stop: int) -> Stored:
        """See Images."""
        return replace(self, start=self.start + start, stop=self.start + stop)

    def read(self) -> np.ndarray:
        """See Images; raises DataError for floats beyond [0,1] and NaN, too."""
        images = self._eight_bit(self.rows.take(self.start, self.stop))
        if self.layout == "nhw":
            return images[:, None]
        return images if self.layout == "nchw" else images.transpose(0, 3, 1, 2)

    def _eight_bit(self, images: np.ndarray) -> np.ndarray:
        if images.dtype == np.uint8:
            return images
        low, high = float(images.min()), float(images.max())
        if not (low >= 0 and high <= 1):  # NaN fails both
            raise DataError(
                f"expected floats of {self.rows.name} in [0,1], got {low:g}..{high:g}; rescale them"
            )
        return np.rint(images.astype(np.float32) * 255).astype(np.uint8)
