"""A user's arrays in one .npz file."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import DataError, Dataset, UsualThreat, require

if TYPE_CHECKING:
    import numpy as np

    from robench import Data, Split

KEYS = ("x_train", "y_train", "x_test", "y_test")
LAYOUTS = ("auto", "nchw", "nhwc")
CHANNELS = (1, 3)
MAX_CLASSES = 100_000
"""Classes beyond which a label is taken for a mistake; ImageNet-21k has 21,843."""


@dataclass(frozen=True, kw_only=True)
class Npz(Dataset):
    """Arrays x_train, y_train, x_test, y_test of a .npz file.

    Images: uint8, or floats in [0,1], which are rounded to 8 bits; three axes are grey images
    (N, H, W), four hold channels, by `layout`. Labels: integers from 0 and below 100,000, shape
    (N,) or (N, 1). A file that expands to more than 64 MiB and a hundred times its size is
    refused unread.
    """

    recipe: ClassVar[Mapping[str, Any]] = {"epochs": 20}

    path: str = ""
    """The file, relative to the working directory."""
    layout: str = "auto"
    """nchw, nhwc, or auto: the one of the two axes that has 1 or 3 entries is the channels."""

    def __post_init__(self) -> None:
        require(bool(self.path), "expected a file, got none; set dataset.npz.path=FILE.npz")
        require(
            self.layout in LAYOUTS,
            f"expected layout to be one of {', '.join(LAYOUTS)}, got {self.layout!r}",
        )

    def load(self, root: Path) -> Data:
        """Read the arrays; `root` is not used.

        Raises DataError for a missing or damaged file, pickled objects, empty or NaN images,
        values out of range, and shapes that do not say where the channels are.
        """
        del root
        from robench import Data

        arrays = _read(self._file)
        train, test = (self._split(arrays, part) for part in ("train", "test"))
        count = int(max(train.labels.max(), test.labels.max())) + 1
        return Data(
            train=train,
            test=test,
            classes=tuple(str(label) for label in range(count)),
            threat=UsualThreat(
                {"linf": (2 / 255, 4 / 255, 8 / 255), "l2": (0.125, 0.25, 0.5)}, noise=0.1
            ),
        )

    def files(self, root: Path) -> tuple[Path, ...]:
        """The file."""
        del root
        return (self._file,)

    @property
    def _file(self) -> Path:
        return Path(self.path).expanduser()

    def _split(self, arrays: Mapping[str, np.ndarray], part: str) -> Split:
        import torch

        from robench import Split

        images = _eight_bit(arrays[f"x_{part}"], f"x_{part}")
        images = _channels_first(images, self.layout, f"x_{part}")
        labels = _labels(arrays[f"y_{part}"], f"y_{part}")
        return Split(torch.from_numpy(images.copy()), torch.from_numpy(labels))


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise DataError(f"expected a file at {path}, got none; set dataset.npz.path")
    # A zip's directory, its streams and numpy's headers each have errors of their own.
    try:
        return _arrays(path)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"expected a .npz file of plain arrays at {path}, got "
            f"{' '.join(str(error).split()) or type(error).__name__}; save it again with "
            "numpy.savez"
        ) from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    from robench_data.sizes import check_expansion

    if not path.is_file():
        raise ValueError("no file")
    with zipfile.ZipFile(path) as archive:
        if missing := [key for key in KEYS if f"{key}.npy" not in archive.namelist()]:
            raise DataError(
                f"expected arrays {', '.join(KEYS)} in {path}, got none named "
                f"{', '.join(missing)}; save them with numpy.savez"
            )
        check_expansion(sum(archive.getinfo(f"{key}.npy").file_size for key in KEYS), path)
        for key in KEYS:
            _check_size(archive, f"{key}.npy")
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in KEYS}


def _check_size(archive: zipfile.ZipFile, member: str) -> None:
    """Compare the size that the array's header claims with the archive's, before allocating."""
    from numpy.lib import format as npy

    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.hasobject:
            raise ValueError(f"pickled objects in {member}")
        if math.prod(shape) * dtype.itemsize != archive.getinfo(member).file_size - file.tell():
            raise ValueError(f"{member} of another size than its header says")


def _eight_bit(images: np.ndarray, name: str) -> np.ndarray:
    import numpy as np

    if images.size == 0:
        raise DataError(f"expected images in {name}, got an empty array of shape {images.shape}")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise DataError(
            f"expected {name} as uint8 or as floats in [0,1], got {images.dtype}; convert it"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise DataError(f"expected floats of {name} in [0,1], got {low:g}..{high:g}; rescale them")
    return np.rint(images.astype(np.float32) * 255).astype(np.uint8)


def _channels_first(images: np.ndarray, layout: str, name: str) -> np.ndarray:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise DataError(f"expected {name} with 3 or 4 axes, got shape {images.shape}")
    if layout == "auto":
        fits = [
            which for which, axis in (("nchw", 1), ("nhwc", 3)) if images.shape[axis] in CHANNELS
        ]
        if len(fits) != 1:
            raise DataError(
                f"expected one axis of {name} with 1 or 3 channels, got shape {images.shape}; "
                "set dataset.npz.layout=nchw or nhwc"
            )
        layout = fits[0]
    return images if layout == "nchw" else images.transpose(0, 3, 1, 2)


def _labels(labels: np.ndarray, name: str) -> np.ndarray:
    import numpy as np

    if labels.dtype.kind not in "iu" or labels.shape[1:] not in ((), (1,)) or labels.ndim == 0:
        raise DataError(
            f"expected {name} as integers of shape (N,), got {labels.dtype} {labels.shape}"
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < MAX_CLASSES:
        raise DataError(
            f"expected labels of {name} from 0 on and below {MAX_CLASSES}, got "
            f"{labels.min()}..{labels.max()}; number the classes from 0"
        )
    return labels.reshape(-1).astype(np.int64)
