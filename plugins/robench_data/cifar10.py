"""CIFAR-10, from the binary release, or the python release once its checksums match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import DataError, Dataset, UsualThreat

if TYPE_CHECKING:
    from robench import Data, Split

BINARY = "cifar-10-batches-bin"
PYTHON = "cifar-10-batches-py"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
TRAIN = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
TEST = ("test_batch.bin",)
RECORDS = 10_000
"""Images in each file of the binary release."""
RECORD_BYTES = 1 + 3 * 32 * 32
"""The label, then the red, green and blue planes, rows first."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, kw_only=True)
class CIFAR10(Dataset):
    """50,000 + 10,000 colour images of 32x32 pixels in ten classes (Krizhevsky, 2009).

    Read from cifar-10-batches-bin below the data root. The python release is a pickle, so
    cifar-10-batches-py is opened only after its md5 sums matched. Downloaded when both are absent.
    """

    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 40, "batch": 128, "flip": True, "crop": 4}

    def load(self, root: Path) -> Data:
        """Read the data set; raises DataError when files are missing, damaged or truncated."""
        from robench import Data

        train, test = _read_python(root) if _python_only(root) else _read_binary(root)
        return Data(
            train=train,
            test=test,
            classes=CLASSES,
            threat=UsualThreat(
                {"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.125, 0.25, 0.5)}, noise=0.1
            ),
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        """The batches that are there, of the release that is read."""
        if _python_only(root):
            return tuple(sorted((root / PYTHON).glob("*_batch*")))
        paths = (root / BINARY / name for name in (*TRAIN, *TEST))
        return tuple(path for path in paths if path.is_file())

    def downloads(self, root: Path) -> bool:
        """Whether a batch of the binary release is missing, and no python release is there."""
        return not (_python_only(root) or _complete(root))


def _python_only(root: Path) -> bool:
    return (root / PYTHON).is_dir() and not (root / BINARY).is_dir()


def _complete(root: Path) -> bool:
    return all((root / BINARY / name).is_file() for name in (*TRAIN, *TEST))


def _read_binary(root: Path) -> tuple[Split, Split]:
    from robench_data.download import ensure

    folder = root / BINARY

    def download() -> None:
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(URL, str(root), md5=MD5, remove_finished=True)

    expected = f"{TRAIN[0]} to {TRAIN[-1]} and {TEST[0]} (the binary release)"
    ensure(
        lambda: _complete(root),
        download,
        root,
        folder,
        expected,
    )
    return _read_batches(folder, TRAIN), _read_batches(folder, TEST)


def _read_batches(folder: Path, names: tuple[str, ...]) -> Split:
    import numpy as np
    import torch

    from robench import Split

    for path in (folder / name for name in names):
        if path.stat().st_size != RECORDS * RECORD_BYTES:
            raise DataError(
                f"expected {RECORDS * RECORD_BYTES} bytes in {path}, got {path.stat().st_size}; "
                f"remove {folder} to download it again"
            )
    parts = [np.fromfile(folder / name, np.uint8).reshape(-1, RECORD_BYTES) for name in names]
    records = torch.from_numpy(np.concatenate(parts))
    return Split(records[:, 1:].reshape(-1, 3, 32, 32).contiguous(), records[:, 0].long())


def _read_python(root: Path) -> tuple[Split, Split]:
    import torch
    from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10

    from robench import Split

    try:
        # torchvision compares every file's md5 before it unpickles one.
        parts = [TorchvisionCIFAR10(str(root), train=train) for train in (True, False)]
    except RuntimeError as error:
        raise DataError(
            f"expected the files of the python release in {root / PYTHON}, got missing ones or "
            "other md5 sums, and they are pickles; remove the folder to download the binary release"
        ) from error
    splits = [
        Split(
            torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)
        )
        for part in parts
    ]
    return splits[0], splits[1]
