"""The idx format of MNIST: big-endian sizes, then bytes (LeCun, yann.lecun.com/exdb/mnist).

Torchvision's reader takes no gzipped file and believes the sizes of a damaged one.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from robench import DataError
from robench_data.sizes import check_expansion

if TYPE_CHECKING:
    import numpy as np

UINT8 = 0x08


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read unsigned bytes of that many dimensions from an idx file, gzipped if named .gz.

    Raises DataError when the file is damaged, truncated or of another kind.
    """
    import numpy as np

    try:
        with _open(path) as file:
            shape = _read_header(file, path, dimensions)
            size = math.prod(shape)
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise DataError(
            f"expected a whole idx file at {path}, got a damaged one ({error}); remove it to "
            "download it again"
        ) from error
    if len(content) != size:
        raise DataError(
            f"expected {size} bytes after the header of {path}, got "
            f"{'more' if len(content) > size else len(content)}; remove it to download it again"
        )
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def _open(path: Path) -> GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read_header(file: GzipFile | BufferedReader, path: Path, dimensions: int) -> tuple[int, ...]:
    zero, kind, count = struct.unpack(">HBB", file.read(4))
    if (zero, kind, count) != (0, UINT8, dimensions):
        raise DataError(
            f"expected an idx file of bytes in {dimensions} dimensions at {path}, got header "
            f"{zero:04x}{kind:02x}{count:02x}"
        )
    shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    check_expansion(math.prod(shape), path)
    return shape
