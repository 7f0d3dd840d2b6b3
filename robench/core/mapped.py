"""Splits whose pixels lie in a file: what is not looked at is not read."""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from robench.base.errors import CacheError
from robench.core.data import Split

if TYPE_CHECKING:
    from torch import Tensor

NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
"""MAP_NORESERVE: else Linux refuses a private map of more than the machine's memory."""


class MappedSplit(Split):
    """Images that are read from a file, page by page, when they are looked at.

    What is written to them stays with this object. A copy shares the file and nothing else, so that
    handing one out costs nothing.
    """

    def __init__(self, file: Path, shape: tuple[int, ...], labels: Tensor) -> None:
        super().__init__(_map(file, shape), labels)
        object.__setattr__(self, "_made_of", (file, shape, labels))

    def __reduce__(self) -> tuple[Callable[..., MappedSplit], tuple[Any, ...]]:
        made_of: tuple[Any, ...] = self._made_of  # type: ignore[attr-defined]
        return MappedSplit, made_of


def _map(file: Path, shape: tuple[int, ...]) -> Tensor:
    size = math.prod(shape)
    try:
        with file.open("rb") as opened:
            pixels = mmap.mmap(opened.fileno(), size, **_private())
    except (OSError, ValueError) as error:
        raise CacheError(
            f"expected {size} bytes of pixels in {file}, got: {error}; was the cache pruned while "
            "it was in use? Start again"
        ) from error
    return torch.from_numpy(np.frombuffer(pixels, np.uint8).reshape(shape))


def _private() -> dict[str, int]:
    """How to map a file so that what is written never reaches it."""
    if not hasattr(mmap, "MAP_PRIVATE"):
        return {"access": mmap.ACCESS_COPY}
    return {"flags": mmap.MAP_PRIVATE | NO_RESERVE, "prot": mmap.PROT_READ | mmap.PROT_WRITE}
