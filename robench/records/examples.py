"""Adversarial examples beside a record: compressed differences from the clean images."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.lib import format as npy

from robench.base.errors import UserError, bad_input
from robench.base.files import check_archive

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.plugin.evidence import Evidence

MAX_HEADER = 2**16
"""Bytes of an array's header at most."""


def row_name(index: int) -> str:
    """The name of the record's `index`-th row in the file."""
    return f"row{index}"


def save_examples(evidence: Evidence, path: Path, more: Mapping[str, NDArray[Any]]) -> None:
    """Write the examples of every valid row, and those that the audit adds by name."""
    arrays = dict(more)
    for index, (scenario, examples) in enumerate(evidence.examples):
        clean, grid = evidence.test.images, scenario.threat.grid
        arrays[row_name(index)] = differences(examples.images, clean, grid)
    np.savez_compressed(path, allow_pickle=False, **arrays)


def differences(images: Tensor, clean: Tensor, grid: bool) -> NDArray[Any]:
    """What is stored of candidates: 8-bit differences where they lie on the grid, else floats."""
    if not grid:
        return images.numpy()
    pixels = (images * 255).round().to(torch.uint8)
    # Differences modulo 256 are mostly a few values, so they compress well.
    return (pixels - clean).numpy()


def load_examples(path: Path, name: str, clean: Tensor) -> Tensor:
    """The candidates stored under a name: float32 in [0,1], shape of `clean`.

    Raises UserError when the file is missing, damaged or of another shape.
    """
    stored = torch.from_numpy(read_array(path, name, tuple(clean.shape), ("uint8", "float32")))
    return (stored + clean).float() / 255 if stored.dtype == torch.uint8 else stored


def read_array(path: Path, name: str, shape: tuple[int, ...], types: Sequence[str]) -> NDArray[Any]:
    """An array of a .npz file, whose header is looked at before anything large is unpacked.

    Raises UserError when the file is missing or damaged, or the array is of another shape or type.
    """
    with _opened(path, f"expected examples named {name} in {path}") as archive:
        got, kind = _header(archive, name)
        if got != shape or kind not in types:
            raise UserError(
                f"expected {name} of shape {shape} and type {' or '.join(types)} in {path}, "
                f"got {kind[:80]} {got}"
            )
        with archive.open(f"{name}.npy") as file:
            array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
            return array


def header(path: Path, name: str) -> tuple[tuple[int, ...], str] | None:
    """Shape and type of an array of a .npz file; None where it has no such array.

    Raises UserError when the file is missing or damaged.
    """
    with _opened(path, f"expected arrays in {path}") as archive:
        return _header(archive, name) if f"{name}.npy" in archive.namelist() else None


@contextmanager
def _opened(path: Path, expected: str) -> Iterator[zipfile.ZipFile]:
    """An archive whose directory is sound; whatever reading it raises becomes a UserError."""
    with bad_input(expected):
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            yield archive


def _header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], str]:
    with archive.open(f"{name}.npy") as file:
        # A header states its own length, which may be gigabytes.
        start = io.BytesIO(file.read(MAX_HEADER))
    version = npy.read_magic(start)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(start)
    # True is an int to numpy, and equal to 1.
    if not all(type(size) is int for size in shape):
        raise UserError(
            f"expected whole numbers as the shape of {name} in {archive.filename}, got {shape}"
        )
    return shape, str(dtype)
