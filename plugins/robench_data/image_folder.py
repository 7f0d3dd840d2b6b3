"""A user's folder of pictures, a sub-folder per class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Optional

from robench import DataError, Dataset, UsualThreat, expand_home, require, require_positive

if TYPE_CHECKING:
    from robench import Data, Part, Source
    from robench_data.images import Decoding

PARTS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class ImageFolder(Dataset):
    """Pictures in folders: train/CLASS/ and test/CLASS/, or CLASS/ alone with a seeded split.

    Each becomes RGB, its shorter side resized to `resize` pixels (bilinear, antialiased), the
    centre square of `size` cut out. Without train and test folders the split is stratified.
    """

    version: ClassVar[str] = "2"
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 30, "batch": 64, "flip": True}

    path: str = ""
    """The folder, relative to the working directory."""
    size: int = 224
    """Height and width in pixels."""
    resize: Optional[int] = None
    """The shorter side before the centre is cut out, as 256 is for ImageNet; none given: size."""
    test_share: float = 0.2
    """Share of the test images, when there are no train and test folders."""
    seed: int = 0
    """Seed of the split, when there are no train and test folders."""

    def __post_init__(self) -> None:
        require(bool(self.path), "expected a folder, got none; set dataset.image_folder.path")
        require_positive(size=self.size)
        require(
            self.resize is None or self.resize >= self.size,
            f"expected resize of at least size, {self.size}, got {self.resize}",
        )
        require(self.seed >= 0, f"expected seed >= 0, got {self.seed}")
        require(0 < self.test_share < 1, f"expected 0 < test_share < 1, got {self.test_share}")

    def load(self, root: Path) -> Data:
        """Read the pictures; `root` is not used. Raises DataError naming what is missing."""
        return self.source(root).load()

    def source(self, root: Path) -> Source:
        """Find the pictures; raises DataError as `load` does."""
        del root
        from robench_data.images import Decoding, listing

        folder, decoding = self._folder, Decoding(self.resize or self.size, self.size)
        threat = UsualThreat(
            {"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.125, 0.25, 0.5)}, noise=0.1
        )
        found = [listing(part) for part in self._parts]
        if not found[0]:
            raise DataError(
                f"expected a sub-folder of pictures for each class in {folder} (or in its train "
                "and test folders), got none; set dataset.image_folder.path"
            )
        if len(found) > 1:
            return of_parts(found[0], found[1], decoding, threat)
        return of_one_folder(found[0], decoding, self.test_share, self.seed, threat)

    def files(self, root: Path) -> list[Path]:
        """The pictures."""
        del root
        from robench_data.images import joined, listing

        return [path for part in self._parts for path in joined(listing(part).values())]

    @property
    def _folder(self) -> Path:
        return expand_home(self.path)

    @property
    def _parts(self) -> list[Path]:
        """The train and the test folder, or the one that is split."""
        parts = [self._folder / part for part in PARTS]
        return parts if all(part.is_dir() for part in parts) else [self._folder]


def of_one_folder(
    found: Mapping[str, list[Path]],
    decoding: Decoding,
    test_share: float,
    seed: int,
    threat: UsualThreat,
) -> Source:
    """The pictures of each class, split by seed."""
    from robench import Part, Source
    from robench_data.images import Pictures, joined, labels
    from robench_data.splits import split

    paths, classes = joined(found.values()), tuple(found)
    target = labels(paths, classes)
    train, test = (
        Part(Pictures([paths[i] for i in index.tolist()], decoding), target[index])
        for index in split(target, max(1, round(test_share * len(paths))), seed)
    )
    return Source(train, test, classes, threat)


def of_parts(
    train: Mapping[str, list[Path]],
    test: Mapping[str, list[Path]],
    decoding: Decoding,
    threat: UsualThreat,
) -> Source:
    """The pictures of each class to train and to test on; raises DataError for other classes."""
    from robench import Source

    require_same(train, test)
    classes = tuple(train)
    first, second = (_part(found, classes, decoding) for found in (train, test))
    return Source(first, second, classes, threat)


def _part(found: Mapping[str, list[Path]], classes: tuple[str, ...], decoding: Decoding) -> Part:
    from robench import Part
    from robench_data.images import Pictures, joined, labels

    paths = joined(found.values())
    return Part(Pictures(paths, decoding), labels(paths, classes))


def require_same(train: Collection[str], test: Collection[str]) -> None:
    """Raise DataError for classes of which pictures are there to train, or to test on, alone."""
    if alone := sorted({*train} ^ {*test}):
        which = "train" if alone[0] in train else "test"
        raise DataError(
            f"expected pictures of the same classes to train and to test on, got {alone[0]} to "
            f"{which} on alone; give both the same sub-folders"
        )
