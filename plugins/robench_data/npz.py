"""A user's arrays in one .npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from robench import DataError, Dataset, UsualThreat, expand_home, require

if TYPE_CHECKING:
    import numpy as np

    from robench import Data, Part, Source
    from robench_data.rows import Rows

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
        return self.source(root).load()

    def source(self, root: Path) -> Source:
        """Read the labels and the headers; raises DataError as `load` does."""
        del root
        from robench import Source

        arrays = _arrays(self._file)
        train, test = (self._part(arrays, part) for part in ("train", "test"))
        count = int(max(train.labels.max(), test.labels.max())) + 1
        return Source(
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
        return expand_home(self.path)

    def _part(self, arrays: Mapping[str, Rows], part: str) -> Part:
        import torch

        from robench import Part
        from robench_data.stored import Stored

        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        _check_images(images)
        kept = Stored(images, _layout(images, self.layout), 0, images.shape[0])
        return Part(kept, torch.from_numpy(_labels(labels)))


def _arrays(path: Path) -> dict[str, Rows]:
    from robench_data.rows import Rows, readable
    from robench_data.sizes import check_expansion

    if not path.exists():
        raise DataError(f"expected a file at {path}, got none; set dataset.npz.path")
    with readable(path):
        if not path.is_file():
            raise ValueError("no file")
        with zipfile.ZipFile(path) as archive:
            if missing := [key for key in KEYS if f"{key}.npy" not in archive.namelist()]:
                raise DataError(
                    f"expected arrays {', '.join(KEYS)} in {path}, got none named "
                    f"{', '.join(missing)}; save them with numpy.savez"
                )
            check_expansion(sum(archive.getinfo(f"{key}.npy").file_size for key in KEYS), path)
    return {key: Rows(path, key) for key in KEYS}


def _check_images(images: Rows) -> None:
    if 0 in images.shape:
        raise DataError(
            f"expected images in {images.name}, got an empty array of shape {images.shape}"
        )
    if images.dtype.kind != "f" and images.dtype.name != "uint8":
        raise DataError(
            f"expected {images.name} as uint8 or as floats in [0,1], got {images.dtype}; convert it"
        )
    if len(images.shape) not in (3, 4):
        raise DataError(f"expected {images.name} with 3 or 4 axes, got shape {images.shape}")


def _layout(images: Rows, layout: str) -> str:
    """Where the channels are: nchw, nhwc, or nhw for none."""
    if len(images.shape) == 3:
        return "nhw"
    if layout != "auto":
        return layout
    fits = [which for which, axis in (("nchw", 1), ("nhwc", 3)) if images.shape[axis] in CHANNELS]
    if len(fits) != 1:
        raise DataError(
            f"expected one axis of {images.name} with 1 or 3 channels, got shape {images.shape}; "
            "set dataset.npz.layout=nchw or nhwc"
        )
    return fits[0]


def _labels(given: Rows) -> np.ndarray:
    import numpy as np

    name, shape = given.name, given.shape
    if given.dtype.kind not in "iu" or shape[1:] not in ((), (1,)) or not shape:
        raise DataError(f"expected {name} as integers of shape (N,), got {given.dtype} {shape}")
    labels = given.take(0, shape[0])
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < MAX_CLASSES:
        raise DataError(
            f"expected labels of {name} from 0 on and below {MAX_CLASSES}, got "
            f"{labels.min()}..{labels.max()}; number the classes from 0"
        )
    return labels.reshape(-1).astype(np.int64)
