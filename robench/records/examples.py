"""Adversarial examples beside a record: compressed differences from the clean images.

An image whose label an attack did not change is witnessed by the clean image itself, and one that
is broken in a ball is broken in every larger one. So an example is kept where its label is not the
clean image's and no row of a smaller or equal ball keeps one. Of a randomised model all are kept:
answers that differed once would be a choice of the unlikely. Records of before keep all, too.
"""

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
from robench.base.files import array_names
from robench.records.arrays import row_name

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.core.outcomes import RowOutcomes
    from robench.plugin.evidence import Evidence

MAX_HEADER = 2**16
"""Bytes of an array's header at most."""


def shown(rows: Sequence[RowOutcomes]) -> list[NDArray[np.bool_]]:
    """For each attacked row, in order: of which images its example is kept, bool (images,)."""
    found = [row.prediction != row.clean_prediction for row in rows]
    balls = [at for at, row in enumerate(rows) if row.search == "ball" and row.eps is not None]
    already: dict[str, NDArray[np.bool_]] = {}
    for at in sorted(balls, key=lambda at: rows[at].eps or 0.0):
        before = already.get(rows[at].norm, np.zeros(len(rows[at]), bool))
        found[at] &= ~before
        already[rows[at].norm] = before | found[at]
    return found


def save_examples(evidence: Evidence, path: Path, more: Mapping[str, NDArray[Any]]) -> None:
    """Write the examples of every valid row that show something, and the audit's by name."""
    arrays = dict(more)
    whole = bool(evidence.examples) and evidence.system.deployed.randomised
    masks = zip(evidence.examples, shown(evidence.outcomes.attacked), strict=True)
    for index, ((_, examples), mask) in enumerate(masks):
        kept = torch.from_numpy(np.flatnonzero(mask | whole))
        clean = evidence.test.images[kept]
        arrays[row_name(index)] = differences(examples.stored[kept], clean)
    # Without allow_pickle, which numpy before 2.2 would keep as an array: these are all numbers.
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # none is called so


def differences(kept: Tensor, clean: Tensor) -> NDArray[Any]:
    """What is written of candidates as they are kept: 8-bit differences on the grid, else floats.

    Both have shape (N, C, H, W); `clean` is uint8.
    """
    if kept.dtype != torch.uint8:
        return kept.numpy()
    # Differences modulo 256 are mostly a few values, so they compress well.
    return (kept - clean).numpy()


def load_examples(path: Path, name: str, clean: Tensor) -> Tensor:
    """The candidates stored under a name: float32 in [0,1], shape of `clean`.

    Raises UserError when the file is missing, damaged or of another shape.
    """
    stored = torch.from_numpy(read_array(path, name, tuple(clean.shape), ("uint8", "float32")))
    return (stored + clean).float() / 255 if stored.dtype == torch.uint8 else stored


def load_kept(
    path: Path, name: str, clean: Tensor, kept: NDArray[np.bool_]
) -> tuple[Tensor, Tensor]:
    """The positions whose candidates stand under a name, int64 (K,), and these, as `load_examples`.

    `kept` says for each of the images `clean` whether its candidate is kept; older records keep
    them all. Raises like `load_examples`.
    """
    found = header(path, name)
    whole = found is not None and found[0][:1] == (len(clean),)
    at = torch.arange(len(clean)) if whole else torch.from_numpy(np.flatnonzero(kept))
    return at, load_examples(path, name, clean[at])


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
        array_names(path)
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
