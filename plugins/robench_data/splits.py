"""Seeded, stratified splits of data sets that come without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench import DataError

if TYPE_CHECKING:
    from torch import Tensor


def split(labels: Tensor, test: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the train and of `test` test images, classes in proportion, both sorted.

    Raises DataError unless both sides get at least one image.
    """
    import numpy as np
    import torch

    from robench import stratified

    if not 1 <= test < len(labels):
        raise DataError(
            f"expected enough images for a split, got {len(labels)} of which {test} to test on"
        )
    chosen = stratified(labels, test, np.random.default_rng(seed))
    rest = torch.ones(len(labels), dtype=torch.bool)
    rest[chosen] = False
    return rest.nonzero().flatten(), chosen
