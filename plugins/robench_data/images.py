"""Folders of pictures, a sub-folder per class.

Listed without torchvision.datasets.folder: a cached run lists the files too, and importing that
takes longer than all else it does.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from robench import DataError, Images

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
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


def listing(folder: Path, skip: Collection[str] = ()) -> dict[str, list[Path]]:
    """The pictures, sorted, of each sub-folder that has any, sorted; none of an absent folder."""
    if not folder.is_dir():
        return {}
    names = [name for name in names_in(folder) if name not in skip and (folder / name).is_dir()]
    found = {name: pictures(folder / name) for name in names}
    return {name: paths for name, paths in found.items() if paths}


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, by their names' ends, sorted; raises DataError."""
    names = names_in(folder)
    return [folder / name for name in names if os.path.splitext(name)[1].lower() in SUFFIXES]


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, sorted; raises DataError where it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise DataError(f"expected a readable folder at {folder}, got {error.strerror}") from error


def joined(found: Iterable[list[Path]]) -> list[Path]:
    """The pictures of all classes in order."""
    return [path for paths in found for path in paths]


def labels(paths: Sequence[Path], classes: Sequence[str]) -> Tensor:
    """The place of each picture's folder among the classes, int64."""
    import torch

    place = {name: index for index, name in enumerate(classes)}
    return torch.tensor([place[path.parent.name] for path in paths], dtype=torch.int64)


@dataclass(frozen=True)
class Decoding:
    """How a picture becomes pixels: RGB, shorter side resized, the centre square cut out.

    Bilinear with antialiasing, as torchvision's Resize and CenterCrop do it, and to the same bits.
    Palettes become their colours, 16 bits keep the upper 8, transparency is left out (the colours
    stored below it stay), and the orientation that a camera noted is not followed.
    """

    shorter: int
    size: int
    inks: bool = False
    """Whether CMYK becomes RGB as Pillow does it, without a profile, rather than be refused."""

    def fill(self, pixels: NDArray[np.uint8], path: Path) -> None:
        """Read a picture into `pixels` (3, size, size).

        Raises DataError naming the file that cannot be decoded, and for CMYK, Lab, floats and 32
        bits, several frames or pages, more than MAX_PIXELS, and what is no file.
        """
        import numpy as np
        from PIL import Image

        # Decoders fail in many ways, and warn of what is refused here. A pipe would be waited for.
        try:
            if not path.is_file():
                raise ValueError("a folder, a pipe or a link to nothing")
            with (
                warnings.catch_warnings(action="ignore"),
                Image.open(path, formats=FORMATS) as image,
            ):
                _check_header(image)
                cut = self._cut(_rgb(image, self.inks))
                for plane, band in zip(pixels, "RGB", strict=True):
                    values = np.frombuffer(cut.tobytes("raw", band), np.uint8)
                    plane[:] = values.reshape(plane.shape)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                f"expected a readable picture at {path}, got {reason}; replace or remove it"
            ) from error

    def _cut(self, image: Image) -> Image:
        from PIL.Image import Resampling

        width, height = image.size
        if min(width, height) != self.shorter:
            width, height = (self.shorter * side // min(image.size) for side in image.size)
            image = image.resize((width, height), Resampling.BILINEAR)
        left, top = (round((side - self.size) / 2) for side in (width, height))
        return image.crop((left, top, left + self.size, top + self.size))


@dataclass(frozen=True)
class Pictures(Images):
    """Pictures in files, decoded when they are read."""

    decoded: ClassVar[bool] = True

    paths: Sequence[Path]
    decoding: Decoding

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """See Images."""
        return len(self.paths), 3, self.decoding.size, self.decoding.size

    def of(self, start: int, stop: int) -> Pictures:
        """See Images."""
        return Pictures(self.paths[start:stop], self.decoding)

    def read(self) -> NDArray[np.uint8]:
        """See Images."""
        import numpy as np

        pixels = np.empty(self.shape, np.uint8)
        for one, path in zip(pixels, self.paths, strict=True):
            self.decoding.fill(one, path)
        return pixels


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


def _rgb(image: Image, inks: bool) -> Image:
    import numpy as np
    from PIL import Image as pil

    # PNG and PPM hold at most 16 bits, which older versions of Pillow open as 32.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        image = pil.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    if image.mode not in RGB_MODES and not (inks and image.mode == "CMYK"):
        raise ValueError(f"colours of mode {image.mode}, which say no RGB; convert it to RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
