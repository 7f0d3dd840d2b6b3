"""ImageNet, from its folders of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

from robench import ConfigError, DataError, Dataset, UsualThreat, require

if TYPE_CHECKING:
    from robench import Data, Part, Source

RESIZED, SIZE = 256, 224
LISTED = "helper_files/imagenet_test_image_ids.txt"
"""Where the package robustbench keeps its 5,000 of the 50,000: a line each, wnid/file."""
MAX_LIST = 2**22
"""Bytes of that list at most; it has 195 kB."""


@dataclass(frozen=True, kw_only=True)
class ImageNet(Dataset):
    """50,000 pictures to judge on, at 224x224 pixels (ILSVRC 2012, Russakovsky et al., 2015).

    Read from imagenet/val/WNID/ below the data root, and imagenet/train/WNID/ where asked; classes
    are the folders of val, sorted, as torchvision numbers them. Shorter side 256 (bilinear,
    antialiased), centre 224; CMYK as Pillow converts it. Nothing is downloaded.
    """

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1409.0575"}
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 90, "batch": 256, "flip": True}

    images: Literal["all", "robustbench"] = "all"
    """Of val: all, or the 5,000 of RobustBench, in its order, as the installed package names them."""
    train_images: Optional[int] = 0
    """Of train, in proportion to the classes, to train or calibrate on; null: all 1,281,167."""
    seed: int = 0
    """Seed of the choice of train_images."""

    def __post_init__(self) -> None:
        require(
            self.train_images is None or self.train_images >= 0,
            f"expected train_images >= 0, or null for all, got {self.train_images}",
        )
        require(self.seed >= 0, f"expected dataset.imagenet.seed >= 0, got {self.seed}")

    def load(self, root: Path) -> Data:
        """Read the pictures; raises DataError naming what is missing or damaged."""
        return self.source(root).load()

    def source(self, root: Path) -> Source:
        """Find the pictures; raises DataError naming what is missing."""
        from robench import Part, Source
        from robench_data.images import Decoding, Pictures, labels

        classes, judged = self._judged(root)
        decoding = Decoding(RESIZED, SIZE, inks=True)
        test = Part(Pictures(judged, decoding), labels(judged, classes))
        threat = UsualThreat(
            {"linf": (1 / 255, 2 / 255, 4 / 255), "l2": (0.5, 1.0, 3.0)}, noise=0.1
        )
        return Source(self._training(root, classes, decoding), test, classes, threat)
