"""Images as they are kept: 8-bit pixels where they lie on the grid, a quarter of their floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def stored(images: Tensor, grid: bool) -> Tensor:
    """Images, float32 in [0,1], as they are kept: uint8 where they lie on the 8-bit `grid`."""
    return (images * 255).round().byte() if grid else images


def floats(kept: Tensor) -> Tensor:
    """What `stored` gave as float32 in [0,1]: the same bits again."""
    return kept if kept.is_floating_point() else kept.float() / 255
