"""Register tiles of the convolution kernels, and the order of their weights."""

from __future__ import annotations

from functools import cache

import numpy as np

from robench.integer.ops import Int8

LATENCY = 10.0
"""Independent products a multiplier pipeline needs in flight."""


@cache
def tile(width: int, blocks: int, registers: int, most_blocks: int) -> tuple[int, int]:
    """Pixels and blocks of 16 channels that a kernel keeps in registers, estimated best.

    registers: how many of 16 lanes the instruction set has.
    """
    choices = [
        (px, nb)
        for nb in range(1, min(blocks, most_blocks) + 1)
        for px in range(1, width + 1)
        if px * nb + nb + 1 <= registers
    ]
    return min(choices, key=lambda choice: _time(width, blocks, *choice))


def _time(width: int, blocks: int, px: int, nb: int) -> tuple[float, int]:
    tiles = -(-width // px)
    whole, rest = divmod(blocks, nb)
    return tiles * (whole * _step(px, nb) + rest * _step(px, 1)), -px


def _step(px: int, nb: int) -> float:
    """Half cycles of one group of four inputs: products, loads or latency, whichever is longest."""
    return max(px * nb + 0.05 * (px + nb), px + nb, LATENCY)


def amx_tile(width: int, blocks: int, steps: int) -> tuple[int, int, int]:
    """Pixels (at most 16), blocks (at most 2) and groups of inputs (at most 16) of AMX tiles."""
    depth = max(d for d in range(1, 17) if steps % d == 0)
    return -(-width // -(-width // 16)), min(blocks, 2), depth


def pack(weight: Int8, step: int) -> Int8:
    """Weights (out, in, kh, kw) in the order kernels read: [block][kh][steps][16 out][4 inputs].

    step: bytes a pixel of the input has; a kernel row is kw * step bytes, in groups of four.
    """
    out, inside, kernel_h, kernel_w = weight.shape
    blocks, steps = -(-out // 16), -(-kernel_w * step // 4)
    rows = np.zeros((blocks * 16, kernel_h, kernel_w, step), np.int8)
    rows[:out, :, :, :inside] = weight.transpose(0, 2, 3, 1)
    flat = np.zeros((blocks * 16, kernel_h, steps * 4), np.int8)
    flat[:, :, : kernel_w * step] = rows.reshape(blocks * 16, kernel_h, -1)
    packed = flat.reshape(blocks, 16, kernel_h, steps, 4).transpose(0, 2, 3, 1, 4)
    return np.ascontiguousarray(packed)
