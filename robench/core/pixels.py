"""Images as they are kept: 8-bit pixels where they lie on the grid, a quarter of their floats."""

from __future__ import annotations

import torch
from torch import Tensor


def stored(images: Tensor, grid: bool) -> Tensor:
    """Images, float32 in [0,1], as they are kept: uint8 where they lie on the 8-bit `grid`."""
    return (images * 255).round().to(torch.uint8) if grid else images


def floats(kept: Tensor) -> Tensor:
    """What `stored` gave as float32 in [0,1]: the same bits again."""
    return kept.float() / 255 if kept.dtype == torch.uint8 else kept
