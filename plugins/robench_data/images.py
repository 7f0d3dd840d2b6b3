"""Folders of pictures, a sub-folder per class.

Listed without torchvision.datasets.folder: a cached run lists the files too, and importing that
takes longer than all else it does.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robench import DataError

if TYPE_CHECKING:
    from torch import Tensor

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP", "TIFF")
"""What is decoded, whatever a file is named: decoders of other formats may run programs."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".webp", ".tif", ".tiff"}


def class_names(folder: Path, skip: Collection[str] = ()) -> tuple[str, ...]:
    """The sub-folders that hold pictures, sorted; none when the folder is absent."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(
            child.name
            for child in folder.iterdir()
            if child.is_dir() and child.name not in skip and pictures(folder, (child.name,))
        )
    )


def pictures(folder: Path, classes: Sequence[str]) -> list[Path]:
    """The pictures of all classes in order, sorted within a class."""
    return [path for name in classes for path in sorted(_pictures(folder / name))]


def labels(paths: Sequence[Path], classes: Sequence[str]) -> Tensor:
    """The place of each picture's folder among the classes, int64; raises DataError."""
    import torch

    place = {name: index for index, name in enumerate(classes)}
    if strange := sorted({path.parent.name for path in paths} - set(place)):
        raise DataError(
            f"expected the classes of the training images, got {', '.join(strange[:3])} beside "
            "them; give train and test the same sub-folders"
        )
    return torch.tensor([place[path.parent.name] for path in paths], dtype=torch.int64)


def read_pictures(paths: Sequence[Path], shorter: int, size: int) -> Tensor:
    """Decode pictures to RGB: shorter side resized, centre cut out; uint8 (N, 3, size, size).

    Raises DataError naming the file that cannot be decoded.
    """
    import torch

    from robench import progress

    result = torch.empty(len(paths), 3, size, size, dtype=torch.uint8)
    with progress("read", len(paths)) as advance:
        for place, path in enumerate(paths):
            result[place] = _read(path, shorter, size)
            advance(1)
    return result


def _pictures(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]


def _read(path: Path, shorter: int, size: int) -> Tensor:
    from PIL import Image
    from torchvision.transforms import functional as F

    try:
        with Image.open(path, formats=FORMATS) as image:
            # Never an enormous enlargement: a picture of 1 x 10,000 pixels is damaged, not wide.
            if max(image.size) > 100 * min(image.size):
                raise DataError(f"expected a picture at {path}, got {image.size} pixels; remove it")
            resized = F.resize(image.convert("RGB"), shorter)
            pixels: Tensor = F.pil_to_tensor(F.center_crop(resized, size))
            return pixels
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"expected a readable picture at {path}, got {reason}; replace or remove it"
        ) from error
