"""Caltech-101, from its folder of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Dataset, UsualThreat, require

if TYPE_CHECKING:
    from robench import Data, Source

BACKGROUND = "BACKGROUND_Google"
RESIZED, SIZE = 256, 224
TEST_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Caltech101(Dataset):
    """9,146 pictures of 101 classes, at 224x224 pixels (Fei-Fei et al., 2004).

    Read from caltech101/101_ObjectCategories below the data root, however many classes are there,
    the background class left out; downloaded when absent. Split 80/20 by seed, stratified.
    """

    recipe: ClassVar[Mapping[str, Any]] = {
        "epochs": 30,
        "batch": 64,
        "flip": True,
        "crop": 4,
        "pad": "reflect",
    }

    seed: int = 0
    """Seed of the split."""

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"expected dataset.caltech101.seed >= 0, got {self.seed}")

    def load(self, root: Path) -> Data:
        """Read the data set; raises DataError when it is missing or a picture is damaged.

        The shorter side becomes 256 pixels, then the centre is cut out.
        """
        return self.source(root).load()

    def source(self, root: Path) -> Source:
        """Find the pictures; raises DataError when there are none."""
        from robench_data.download import ensure
        from robench_data.image_folder import of_one_folder
        from robench_data.images import Decoding, listing

        folder = _folder(root)
        ensure(
            lambda: not self.downloads(root),
            lambda: _download(root),
            root,
            folder,
            "a sub-folder of jpg files for each class",
        )
        return of_one_folder(
            listing(folder, (BACKGROUND,)),
            Decoding(RESIZED, SIZE),
            TEST_SHARE,
            self.seed,
            UsualThreat({"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.5, 1.0, 2.0)}, noise=0.1),
        )

    def downloads(self, root: Path) -> bool:
        """Whether there is no picture."""
        from robench_data.images import listing

        return not listing(_folder(root), (BACKGROUND,))

    def files(self, root: Path) -> list[Path]:
        """The pictures."""
        from robench_data.images import joined, listing

        return joined(listing(_folder(root), (BACKGROUND,)).values())


def _folder(root: Path) -> Path:
    return root / "caltech101" / "101_ObjectCategories"


def _download(root: Path) -> None:
    from torchvision.datasets import Caltech101 as TorchvisionCaltech101

    TorchvisionCaltech101(str(root), download=True)
