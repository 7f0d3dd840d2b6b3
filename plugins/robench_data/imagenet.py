"""ImageNet, from its folders of pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

from robench import ConfigError, DataError, Dataset, UsualThreat, require

if TYPE_CHECKING:
    from robench import Data, Source

RESIZED, SIZE = 256, 224
WNID = re.compile(r"n\d{8}")
"""A class's folder: the number of its synset in WordNet."""
LISTED = "robustbench/helper_files/imagenet_test_image_ids.txt"
"""Where the package robustbench keeps its 5,000 of the 50,000: a line each, wnid/file."""


@dataclass(frozen=True, kw_only=True)
class ImageNet(Dataset):
    """50,000 pictures to judge on, at 224x224 pixels (ILSVRC 2012, Russakovsky et al., 2015).

    Read from imagenet/val/WNID/ below the data root, and imagenet/train/WNID/ where asked; classes
    are the folders of val, sorted, as torchvision numbers them. Shorter side 256 (bilinear,
    antialiased), centre 224; CMYK as Pillow converts it. Nothing is downloaded.
    """

    sources: ClassVar[Mapping[str, str]] = {"paper": "https://arxiv.org/abs/1409.0575"}
    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 90, "batch": 256, "flip": True}

    subset: Literal["all", "robustbench"] = "all"
    """Of val: all, or the 5,000 of RobustBench in its order, from the installed package's list."""
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
        trained = self._trained(root, classes)
        train, test = (
            Part(Pictures(paths, Decoding(RESIZED, SIZE, inks=True)), labels(paths, classes))
            if paths
            else None
            for paths in (trained, judged)
        )
        assert test is not None
        return Source(
            train,
            test,
            classes,
            UsualThreat({"linf": (1 / 255, 2 / 255, 4 / 255), "l2": (0.5, 1.0, 3.0)}, noise=0.1),
        )

    def files(self, root: Path) -> list[Path]:
        """The pictures that are read."""
        try:
            classes, judged = self._judged(root)
            return [*judged, *self._trained(root, classes)]
        except DataError:  # of which `source` tells
            return []

    def _judged(self, root: Path) -> tuple[tuple[str, ...], list[Path]]:
        """The classes, and the pictures to judge on."""
        from robench_data.images import joined

        folder = root / "imagenet" / "val"
        found = _listing(folder)
        if self.subset == "all":
            return tuple(found), joined(found.values())
        names, there = _listed(), {*joined(found.values())}
        if missing := [name for name in names if folder / name not in there]:
            raise DataError(
                f"expected the {len(names)} pictures of dataset.imagenet.subset=robustbench in "
                f"{folder}, got {len(missing)} fewer, {missing[0]} among them; put them there"
            )
        return tuple(found), [folder / name for name in names]

    def _trained(self, root: Path, classes: tuple[str, ...]) -> list[Path]:
        """The pictures to train or calibrate on; none where none are asked for."""
        import numpy as np

        from robench import stratified
        from robench_data.image_folder import require_same
        from robench_data.images import joined, labels

        if self.train_images == 0:
            return []
        found = _listing(root / "imagenet" / "train")
        require_same(found, classes)
        paths = joined(found.values())
        if self.train_images is None:
            return paths
        rng = np.random.default_rng(self.seed)
        return [paths[k] for k in stratified(labels(paths, classes), self.train_images, rng)]


def _listing(folder: Path) -> dict[str, list[Path]]:
    """The pictures of each class; raises DataError for a class without any, and for no class."""
    from robench_data.images import names_in, pictures

    names = [name for name in names_in(folder) if WNID.fullmatch(name)] if folder.is_dir() else []
    found = {name: pictures(folder / name) for name in names}
    empty = [name for name, paths in found.items() if not paths]
    if empty or not found:
        raise DataError(
            f"expected JPEG files in a folder for each class (n01440764, ...) below {folder}, got "
            f"none{' in ' + empty[0] if empty else ''}; put ImageNet's pictures there, or set "
            "data_root or ROBENCH_DATA"
        )
    return found


def _listed() -> list[str]:
    """RobustBench's 5,000 pictures, wnid/file, from the package; nothing of it is imported."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        path = distribution("robustbench").locate_file(LISTED)
        return Path(str(path)).read_text(encoding="utf-8").split()
    except (PackageNotFoundError, OSError) as error:
        raise ConfigError(
            "expected the package robustbench, whose list dataset.imagenet.subset=robustbench is, "
            "got none; install it (pip install robustbench), or leave the option out"
        ) from error
