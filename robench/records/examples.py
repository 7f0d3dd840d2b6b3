"""Adversarial examples beside a record: compressed differences from the clean images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.base.errors import UserError
from robench.base.files import read_array

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from robench.plugin.evidence import Evidence

MAX_BYTES = 2**30
"""Size of the file at most."""


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
    try:
        stored = torch.from_numpy(read_array(path, name, tuple(clean.shape), MAX_BYTES))
    except OSError as error:
        raise UserError(f"expected examples named {name} in {path}, got: {error}") from error
    return (stored + clean).float() / 255 if stored.dtype == torch.uint8 else stored
