"""A user's folder of pictures, a sub-folder per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import DataError, Dataset, UsualThreat, require, require_positive

if TYPE_CHECKING:
    from robench import Data

PARTS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """Pictures in folders: train/CLASS/ and test/CLASS/, or CLASS/ alone with a seeded split.

    Each becomes RGB, its shorter side resized to `size` pixels, the centre square cut out. Without
    train and test folders the split is stratified.
    """

    version: ClassVar[str] = "2"
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 30, "batch": 64, "flip": True}

    path: str = ""
    """The folder, relative to the working directory."""
    size: int = 224
    """Height and width in pixels."""
    test_share: float = 0.2
    """Share of the test images, when there are no train and test folders."""
    seed: int = 0
    """Seed of the split, when there are no train and test folders."""

    def __post_init__(self) -> None:
        require(bool(self.path), "expected a folder, got none; set dataset.image_folder.path")
        require_positive(size=self.size)
        require(self.seed >= 0, f"expected seed >= 0, got {self.seed}")
        require(0 < self.test_share < 1, f"expected 0 < test_share < 1, got {self.test_share}")

    def load(self, root: Path) -> Data:
        """Read the pictures; `root` is not used. Raises DataError naming what is missing."""
        del root
        from robench_data.images import class_names

        folder, sizes = self._folder, (self.size, self.size)
        threat = UsualThreat(
            {"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.125, 0.25, 0.5)}, noise=0.1
        )
        classes = class_names(folder / "train" if self._has_parts else folder)
        if not classes:
            raise DataError(
                f"expected a sub-folder of pictures for each class in {folder} (or in its train "
                "and test folders), got none; set dataset.image_folder.path"
            )
        if self._has_parts:
            return _from_parts(folder, classes, sizes, threat)
        return from_one_folder(
            folder,
            classes,
            sizes=sizes,
            test_share=self.test_share,
            seed=self.seed,
            threat=threat,
        )

    def files(self, root: Path) -> list[Path]:
        """The pictures."""
        del root
        from robench_data.images import class_names, pictures

        parts = [self._folder / part for part in PARTS] if self._has_parts else [self._folder]
        return [path for part in parts for path in pictures(part, class_names(part))]

    @property
    def _folder(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def _has_parts(self) -> bool:
        return all((self._folder / part).is_dir() for part in PARTS)


def from_one_folder(
    folder: Path,
    classes: Sequence[str],
    *,
    sizes: tuple[int, int],
    test_share: float,
    seed: int,
    threat: UsualThreat,
) -> Data:
    """Read class folders and split them by seed; `sizes`: shorter side after resizing, then cut."""
    from robench import Data, Split
    from robench_data.images import labels, pictures, read_pictures
    from robench_data.splits import split

    paths = pictures(folder, classes)
    target = labels(paths, classes)
    parts = [
        Split(read_pictures([paths[i] for i in index.tolist()], *sizes), target[index])
        for index in split(target, max(1, round(test_share * len(paths))), seed)
    ]
    return Data(train=parts[0], test=parts[1], classes=tuple(classes), threat=threat)


def _from_parts(
    folder: Path, classes: Sequence[str], sizes: tuple[int, int], threat: UsualThreat
) -> Data:
    from robench import Data, Split
    from robench_data.images import class_names, labels, pictures, read_pictures

    parts = []
    for part in PARTS:
        paths = pictures(folder / part, class_names(folder / part))
        target = labels(paths, classes)
        parts.append(Split(read_pictures(paths, *sizes), target))
    return Data(train=parts[0], test=parts[1], classes=tuple(classes), threat=threat)
