"""MNIST, from the four original idx files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import Dataset, UsualThreat

if TYPE_CHECKING:
    from robench import Data, Split

FILES = tuple(f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images", "labels"))
NAMES = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}


@dataclass(frozen=True, kw_only=True)
class MNIST(Dataset):
    """60,000 + 10,000 grey handwritten digits of 28x28 pixels (LeCun et al., 1998).

    Read from MNIST/raw below the data root, gzipped or not; downloaded when absent.
    """

    recipe: ClassVar[Mapping[str, Any]] = {
        "epochs": 8,
        "batch": 128,
        "optimizer": "adam",
        "lr": 0.002,
        "warmup": 1.0,
    }

    def load(self, root: Path) -> Data:
        """Read the data set; raises DataError when files are missing, damaged or truncated."""
        from robench import Data
        from robench_data.download import ensure

        folder = _folder(root)
        ensure(
            lambda: not self.downloads(root),
            lambda: _download(root),
            root,
            folder,
            f"{FILES[0]}-idx3-ubyte.gz and its three companions",
        )
        return Data(
            train=_read(folder, "train"),
            test=_read(folder, "t10k"),
            classes=tuple("0123456789"),
            threat=UsualThreat({"linf": (0.1, 0.2, 0.3), "l2": (0.5, 1.0, 1.5)}, noise=0.3),
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        """Those of the four files that are there."""
        found = (_find(_folder(root), name) for name in FILES)
        return tuple(path for path in found if path.is_file())

    def downloads(self, root: Path) -> bool:
        """Whether one of the four is missing."""
        return len(self.files(root)) < len(FILES)


def _folder(root: Path) -> Path:
    return root / "MNIST" / "raw"


def _find(folder: Path, name: str) -> Path:
    plain = folder / f"{name}-{NAMES[name.partition('-')[2]]}"
    return plain if plain.is_file() else plain.with_name(f"{plain.name}.gz")


def _download(root: Path) -> None:
    from torchvision.datasets import MNIST as TorchvisionMNIST

    TorchvisionMNIST(str(root), download=True)


def _read(folder: Path, part: str) -> Split:
    import torch

    from robench import Split
    from robench_data.idx import read_idx

    images = read_idx(_find(folder, f"{part}-images"), 3)
    labels = read_idx(_find(folder, f"{part}-labels"), 1)
    return Split(torch.from_numpy(images)[:, None], torch.from_numpy(labels).long())
