"""Real factors as fixed point: multiplier / 2**shift, as finely as int32 allows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from robench.base.errors import UserError
from robench.integer.ops import INT32_MAX, Int32

Real = npt.NDArray[np.float64]


def fixed_point(ratio: Real) -> tuple[Int32, int]:
    """Multipliers and shift, multiplier / 2**shift = ratio, as finely as int32 allows."""
    shift = largest_shift(float(ratio.max()), 1.0, most=32)
    return int32(np.rint(ratio * 2.0**shift).clip(max=INT32_MAX)), shift


def largest_shift(ratio: float, times: float, *, most: int = 30, largest: int = INT32_MAX) -> int:
    """The largest shift, 1..most, at which `ratio * times * 2**shift` stays within `largest`."""
    return max(1, min(most, math.floor(math.log2(largest / (ratio * times)))))


def rounded_offset(constant: float, shift: int) -> int:
    """A real constant in output codes plus the half that makes the following shift round."""
    return round(constant * 2.0**shift) + (1 << shift >> 1)


def int32(values: npt.ArrayLike) -> Int32:
    """Whole numbers as int32; raises UserError for one beyond it."""
    wide = np.asarray(values, dtype=np.float64)
    if np.abs(wide).max() > INT32_MAX:
        raise UserError(
            f"integer program: expected constants within int32, got {np.abs(wide).max():.3g}; "
            "train or calibrate the network on its own data"
        )
    return wide.astype(np.int32)


def real(tensor: torch.Tensor) -> Real:
    """A tensor's values as float64."""
    return np.asarray(tensor.detach().cpu().double().numpy())
