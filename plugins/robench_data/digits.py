"""Handwritten digits of 8x8 pixels that come inside scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Dataset, UsualThreat, require

if TYPE_CHECKING:
    from robench import Data

TEST_IMAGES = 360


@dataclass(frozen=True, kw_only=True)
class Digits(Dataset):
    """1,797 grey handwritten digits of 8x8 pixels, inside scikit-learn (UCI, Alpaydin & Kaynak).

    A seeded, stratified split: 1,437 to train, 360 to test. The 17 grey levels 0..16 are spread
    over 0..255.
    """

    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 20, "batch": 64, "optimizer": "adam"}

    seed: int = 0
    """Seed of the split."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"expected dataset.digits.seed >= 0, got {self.seed}")

    def load(self, root: Path) -> Data:
        """Read the digits; `root` is not used."""
        del root
        import torch
        from sklearn.datasets import load_digits

        from robench import Data, Split
        from robench_data.splits import split

        pixels, target = load_digits(return_X_y=True)
        images = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8)
        everything = Split(images.reshape(-1, 1, 8, 8), torch.from_numpy(target).long())
        train, test = split(everything.labels, TEST_IMAGES, self.seed)
        return Data(
            train=everything.take(train),
            test=everything.take(test),
            classes=tuple("0123456789"),
            threat=UsualThreat({"linf": (0.05, 0.1, 0.2), "l2": (0.25, 0.5, 1.0)}, noise=0.2),
        )
