"""Arrays inside an .npz file, read row by row: none of them has to fit in memory."""

from __future__ import annotations

import math
import weakref
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from robench import DataError

if TYPE_CHECKING:
    import numpy as np

SKIPPED = 2**24
"""Bytes that are read at a time on the way to a row."""


@dataclass(frozen=True)
class Header:
    """What an array's header says, and the bytes before its first row."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    length: int


class Rows:
    """An array of an .npz file, whose rows are asked for in order.

    Raises DataError for a damaged file, pickled objects, and another size than the header says.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with readable(path), zipfile.ZipFile(path) as archive:
            self.header = _header(archive, f"{name}.npy")
        self._file: IO[bytes] | None = None
        self._next = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype:
        """The array's type."""
        return self.header.dtype

    def take(self, start: int, stop: int) -> np.ndarray:
        """The rows from `start` to before `stop`; of an array in Fortran's order all are read."""
        import numpy as np

        with readable(self.path):
            if self.header.fortran:
                with np.load(self.path, allow_pickle=False) as arrays:
                    rows: np.ndarray = arrays[self.name][start:stop]
                    return rows
            count = math.prod(self.shape[1:])
            data = self._bytes(start, (stop - start) * count * self.dtype.itemsize)
            self._next = stop
            return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def _bytes(self, start: int, size: int) -> bytes:
        if self._file is None or start < self._next:
            # The member keeps the archive's file open until it is closed itself.
            with zipfile.ZipFile(self.path) as archive:
                self._file = archive.open(f"{self.name}.npy")
            weakref.finalize(self, self._file.close)
            self._file.read(self.header.length)
            self._next = 0
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        left = (start - self._next) * row
        while left:
            left -= len(self._file.read(min(left, SKIPPED))) or left
        data = self._file.read(size)
        if len(data) != size:
            raise ValueError(f"{self.name} cut short")
        return data


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Make a DataError of whatever reading an .npz file raises.

    A zip's directory, its streams and numpy's headers each have errors of their own.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"expected a .npz file of plain arrays at {path}, got "
            f"{' '.join(str(error).split()) or type(error).__name__}; save it again with "
            "numpy.savez"
        ) from error


def _header(archive: zipfile.ZipFile, member: str) -> Header:
    """The header, held against the archive's size of the array before anything is allocated."""
    from numpy.lib import format as npy

    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ValueError(f"pickled objects in {member}")
        if math.prod(shape) * dtype.itemsize != archive.getinfo(member).file_size - file.tell():
            raise ValueError(f"{member} of another size than its header says")
        return Header(shape, dtype, fortran, file.tell())
