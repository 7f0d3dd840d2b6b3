"""Folders of pictures, a sub-folder per class.

Listed without torchvision.datasets.folder: a cached run lists the files too, and importing that
takes longer than all else it does.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robench import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "WEBP", "TIFF")
"""What is decoded, whatever a file is named: decoders of other formats may run programs."""
RGB_MODES = ("1", "L", "LA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr")
"""Pillow's modes whose colours are known; those of CMYK follow from a profile of inks, those of
floats and of 32 bits from a range that no header states."""
MAX_PIXELS = 2**26
"""Of a picture (8192 x 8192): larger ones are not decoded."""
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

    Palettes become their colours, 16 bits keep the upper 8, transparency is left out (the colours
    stored below it stay). Raises DataError naming the file that cannot be decoded, and for CMYK,
    Lab, floats and 32 bits, several frames or pages, more than MAX_PIXELS, and what is no file.
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
    try:
        return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise DataError(f"expected a readable folder at {folder}, got {error.strerror}") from error


def _read(path: Path, shorter: int, size: int) -> Tensor:
    from PIL import Image
    from torchvision.transforms import functional as F

    # Decoders fail in many ways, and warn of what is refused here. A pipe would be waited for.
    try:
        if not path.is_file():
            raise ValueError("a folder, a pipe or a link to nothing")
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            _check_header(image)
            pixels: Tensor = F.pil_to_tensor(F.center_crop(F.resize(_rgb(image), shorter), size))
            return pixels
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"expected a readable picture at {path}, got {reason}; replace or remove it"
        ) from error


def _check_header(image: Image) -> None:
    """Refuse, before anything is decoded, what is no single picture of a sensible size."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels, more than {MAX_PIXELS}")
    # Never an enormous enlargement: a picture of 1 x 10,000 pixels is damaged, not wide.
    if max(image.size) > 100 * min(image.size):
        raise ValueError(f"{image.size} pixels")
    # Cameras add a preview to a JPEG (MPO): its first picture is the picture.
    if image.format != "MPO" and _has_second_frame(image):
        raise ValueError("several frames or pages")


def _has_second_frame(image: Image) -> bool:
    """Without counting them all, as a hostile file may hold millions."""
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _rgb(image: Image) -> Image:
    import numpy as np
    from PIL import Image as pil

    # PNG and PPM hold at most 16 bits, which older versions of Pillow open as 32.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = pil.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    if image.mode not in RGB_MODES:
        raise ValueError(f"colours of mode {image.mode}, which say no RGB; convert it to RGB")
    return image.convert("RGB")
