"""Adversarial examples beside a record: compressed differences from the clean images."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from robench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from robench.evidence import Evidence


def row_name(index: int) -> str:
    """The name of the record's `index`-th row in the file."""
    return f"row{index}"


def save_examples(evidence: Evidence, path: Path) -> None:
    """Write the candidates of every valid row, 8-bit differences where they lie on the grid."""
    clean = evidence.test.images
    arrays = {}
    for index, (row, crafted) in enumerate(evidence.examples):
        if row.threat.grid:
            pixels = (crafted.images * 255).round().to(torch.uint8)
            # Differences modulo 256 are mostly a few values, so they compress well.
            arrays[row_name(index)] = (pixels - clean).numpy()
        else:
            arrays[row_name(index)] = crafted.images.numpy()
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load_examples(path: Path, index: int, clean: Tensor) -> Tensor:
    """The candidates of the record's `index`-th valid row: float32 in [0,1], shape of `clean`.

    Raises UserError when the file is missing, damaged or of another shape.
    """
    try:
        # A damaged archive makes numpy leave a file open that it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            stored = torch.from_numpy(arrays[row_name(index)])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"expected examples of row {index} in {path}, got: {error}") from error
    if stored.shape != clean.shape or stored.dtype not in (torch.uint8, torch.float32):
        raise UserError(
            f"expected examples of shape {tuple(clean.shape)} in {path}, got {stored.dtype} "
            f"{tuple(stored.shape)}"
        )
    return (stored + clean).float() / 255 if stored.dtype == torch.uint8 else stored
